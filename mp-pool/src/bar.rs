//! Progress in a terminal.

use indicatif::ProgressBar;

use crate::With;

impl With<'_> {
    /// Shows the progress of the call in `bar`.
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let bar = indicatif::ProgressBar::hidden();
    /// pool.with().bar(bar.clone()).map(|x: u64| x + 1, 0..100)?;
    /// pool.close();
    /// pool.join()?; // The bar is moved by the callback thread.
    /// assert_eq!((bar.position(), bar.length()), (100, Some(100)));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `tqdm(pool.imap(...))`.
    pub fn bar(self, bar: ProgressBar) -> Self {
        self.on_progress(move |progress| {
            if let Some(total) = progress.total {
                bar.set_length(total);
            }
            bar.set_position(progress.done);
        })
    }
}
