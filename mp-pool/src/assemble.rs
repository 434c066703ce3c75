//! From the pieces of a reply to what the caller asked for.

use mp_sys::fd_table;
use serde::de::DeserializeOwned;

use crate::batch::{Content, Piece};
use crate::codec::{self, Item, Row};
use crate::job::Failure;
use crate::{Error, TaskError};

/// Whether no item of a piece has failed.
pub(crate) fn is_successful(piece: &Piece) -> bool {
    match &piece.content {
        Content::Failed(_) => false,
        Content::Reply { bytes, .. } => {
            let mut row = Row::new(bytes);
            while let Some(item) = row.take() {
                if matches!(item, Item::Failure(_)) {
                    return false;
                }
            }
            true
        }
    }
}

/// Decodes the results in a piece, one after the other.
pub(crate) fn results<R: DeserializeOwned + 'static>(
    piece: &Piece,
    mut each: impl FnMut(Result<R, TaskError>),
) {
    match &piece.content {
        Content::Failed(error) => (0..piece.count).for_each(|_| each(Err(error.clone()))),
        Content::Reply { bytes, fds } => {
            let fds: Result<Vec<_>, _> = fds.iter().map(|fd| fd.try_clone()).collect();
            let mut row = Row::new(bytes);
            let mut decode_all = || {
                for _ in 0..piece.count {
                    each(match row.take() {
                        Some(Item::Value(item)) => codec::decode(item)
                            .map_err(|reason| TaskError::Codec(format!("result: {reason}"))),
                        Some(Item::Failure(item)) => Err(failure(item)),
                        None => Err(TaskError::Codec("the reply is cut short".into())),
                    });
                }
            };
            match fds {
                Ok(fds) if fds.is_empty() => decode_all(),
                fds => fd_table::supply(fds.unwrap_or_default(), decode_all),
            }
        }
    }
}

fn failure(item: &[u8]) -> TaskError {
    match codec::decode(item) {
        Ok(Failure::Panicked(panic)) => TaskError::Panicked(panic),
        Ok(Failure::Codec(reason)) | Err(reason) => TaskError::Codec(reason),
    }
}

/// The result of a call with one item.
pub(crate) fn assemble_one<R: DeserializeOwned + 'static>(pieces: &[Piece]) -> Result<R, Error> {
    let mut result = Err(TaskError::Cancelled);
    pieces.iter().for_each(|piece| results(piece, |item| result = item));
    Ok(result?)
}

/// The results of a call with many items: all, or the first failure.
pub(crate) fn assemble_all<R: DeserializeOwned + 'static>(
    pieces: &[Piece],
) -> Result<Vec<R>, Error> {
    let count = pieces.iter().map(|piece| piece.count as usize).sum();
    let mut values = Vec::with_capacity(count);
    pieces.iter().try_for_each(|piece| append_all(piece, &mut values))?;
    Ok(values)
}

/// Appends the results in a piece, if none of them is a failure.
pub(crate) fn append_all<R: DeserializeOwned + 'static>(
    piece: &Piece,
    values: &mut Vec<R>,
) -> Result<(), TaskError> {
    // First as if all were well, in a loop that does nothing else.
    if let Content::Reply { bytes, fds } = &piece.content
        && fds.is_empty()
    {
        let mut row = Row::new(bytes);
        let before = values.len();
        codec::take_numbers(&mut row, values);
        while let Some(Item::Value(item)) = row.take()
            && let Ok(value) = codec::decode(item)
        {
            values.push(value);
            codec::take_numbers(&mut row, values);
        }
        if values.len() - before == piece.count as usize {
            return Ok(());
        }
        values.truncate(before);
    }
    let mut failed = None;
    results(piece, |item| match item {
        Ok(value) => values.push(value),
        Err(error) => failed = failed.take().or(Some(error)),
    });
    failed.map_or(Ok(()), Err)
}
