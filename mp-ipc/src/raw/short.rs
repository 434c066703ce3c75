//! A short payload as words, as the ring takes it.

use postcard::ser_flavors::Flavor;

use super::ring::UNIT;

const WORDS: usize = 8;
/// What is longer takes the long way.
pub(crate) const SHORT: usize = WORDS * UNIT;

/// A short payload. Its last word is filled up with zeros.
///
/// Bytes gather in words before they are stored: a load that spans several stores of single bytes
/// would have to wait for them all.
#[derive(Debug, Default)]
pub(crate) struct Short {
    words: [[u8; UNIT]; WORDS],
    len: usize,
}

impl Short {
    /// `bytes`, if they are short enough.
    #[cfg(test)]
    pub(crate) fn of(bytes: &[u8]) -> Option<Short> {
        let mut short = Short::default();
        short.extend(bytes).then_some(short)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.words.as_flattened()[..self.len]
    }

    /// The words that have bytes in them.
    #[inline]
    pub(crate) fn words(&self) -> &[[u8; UNIT]] {
        &self.words[..self.len.div_ceil(UNIT)]
    }

    /// Room for `len` bytes, to be filled from words.
    #[inline]
    pub(crate) fn words_mut(&mut self, len: usize) -> Option<&mut [[u8; UNIT]]> {
        self.len = len;
        self.words.get_mut(..len.div_ceil(UNIT))
    }

    /// Appends `bytes`, or says that there is no room.
    #[inline]
    fn extend(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > SHORT - self.len {
            return false;
        }
        let (words, rest) = bytes.as_chunks::<UNIT>();
        words.iter().for_each(|word| self.append(u64::from_le_bytes(*word), UNIT));
        rest.iter().for_each(|byte| self.append(u64::from(*byte), 1));
        true
    }

    /// Appends the lower `count` bytes of `bits`, for which there is room; the others are 0.
    #[inline]
    fn append(&mut self, bits: u64, count: usize) {
        let (word, filled) = (self.len / UNIT, self.len % UNIT);
        self.or(word, bits << (8 * filled));
        if filled + count > UNIT {
            self.or(word + 1, bits >> (8 * (UNIT - filled)));
        }
        self.len += count;
    }

    #[inline]
    fn or(&mut self, word: usize, bits: u64) {
        let word = &mut self.words[word];
        *word = (u64::from_le_bytes(*word) | bits).to_le_bytes();
    }
}

/// Writes a value into a [`Short`].
#[derive(Debug)]
pub(crate) struct Writer<'a>(pub(crate) &'a mut Short);

impl Flavor for Writer<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.0.extend(bytes) { Ok(()) } else { Err(postcard::Error::SerializeBufferFull) }
    }

    #[inline]
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_however_they_are_cut() {
        let bytes: Vec<u8> = (1..=SHORT as u8).collect();
        for cut in 0..=SHORT {
            let mut short = Short::of(&bytes[..cut]).unwrap();
            assert!(short.extend(&bytes[cut..]));
            assert_eq!((short.bytes(), short.len()), (&*bytes, SHORT));
            assert!(!short.extend(&[0]) && Short::of(&[0; SHORT + 1]).is_none());
            let part = Short::of(&bytes[..cut]).unwrap();
            let tail: Vec<u8> = part.words().as_flattened()[cut..].to_vec();
            assert!(tail.len() < UNIT && tail.iter().all(|byte| *byte == 0));
        }
    }
}
