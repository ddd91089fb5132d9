//! Whether bytes are one value of MessagePack within the bounds of a body. Does not recurse, and holds
//! one number for each level.

use super::error::BodyError;
use super::token::{Token, Tokens};
use crate::limits::BODY_DEPTH;

/// # Errors
///
/// The first thing that is wrong, from the front.
pub(super) fn check(body: &[u8]) -> Result<(), BodyError> {
    let mut tokens = Tokens::new(body);
    let mut open = Open::default();
    loop {
        match tokens.read()? {
            Token::Text(_) | Token::Other => {}
            Token::Array(values) => open.enter(values)?,
            Token::Map(pairs) => open.enter(pairs.saturating_mul(2))?,
        }
        if !open.another() {
            return tokens.end();
        }
    }
}

/// How many values are still to come in each array and map that was entered, the outermost first.
#[derive(Default)]
struct Open {
    due: [usize; BODY_DEPTH],
    depth: usize,
}

impl Open {
    /// An empty one has its level, too.
    fn enter(&mut self, values: usize) -> Result<(), BodyError> {
        *self.due.get_mut(self.depth).ok_or(BodyError::TooDeep)? = values;
        self.depth += 1;
        Ok(())
    }

    /// Whether one more value is to come, which it counts as come.
    fn another(&mut self) -> bool {
        while let Some(deepest) = self.depth.checked_sub(1) {
            match self.due.get_mut(deepest) {
                Some(due) if *due > 0 => {
                    *due -= 1;
                    return true;
                }
                _ => self.depth = deepest,
            }
        }
        false
    }
}
