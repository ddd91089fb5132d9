//! A cursor over received bytes that can only fail, never panic.

/// Why bytes are not what their layout says. Nothing was changed by them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes end inside a field.
    #[error("a field is cut short")]
    Truncated,
    /// Bytes follow the last field.
    #[error("bytes follow the last field")]
    TrailingBytes,
    /// A field's length or count is outside its bounds.
    #[error("the length or count of {0} is outside its bounds")]
    Bounds(&'static str),
    /// A field has a value that this version does not define.
    #[error("{0} has an undefined value")]
    Value(&'static str),
    /// A list that must ascend strictly does not, or repeats an entry.
    #[error("{0} is not in strictly ascending order")]
    Order(&'static str),
    /// A byte that must be zero is not.
    #[error("padding is not zero")]
    NonzeroPadding,
}

/// A cursor. Every method takes from the front or says [`Malformed::Truncated`].
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A field with a one-byte length in front.
    pub(crate) fn lv8(&mut self) -> Result<&'a [u8], Malformed> {
        let count = self.u8()?;
        self.take(count.into())
    }

    /// A field with a two-byte length in front.
    pub(crate) fn lv16(&mut self) -> Result<&'a [u8], Malformed> {
        let count = self.u16()?;
        self.take(count.into())
    }

    /// Whatever is left, taken.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Everything must have been read.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::TrailingBytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_big_endian_and_taken_from_the_front() {
        let bytes: Vec<u8> = (1..=16).collect();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.u32(), Ok(0x0405_0607));
        assert_eq!(reader.u64(), Ok(0x0809_0a0b_0c0d_0e0f));
        assert_eq!(reader.rest(), [16]);
        assert_eq!(reader.take(1), Ok(&[16][..]));
        assert!(reader.rest().is_empty());
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn a_field_behind_the_end_is_truncated_and_takes_nothing() {
        let mut reader = Reader::new(&[1]);
        assert_eq!(reader.u16(), Err(Malformed::Truncated));
        assert_eq!(reader.u32(), Err(Malformed::Truncated));
        assert_eq!(reader.u64(), Err(Malformed::Truncated));
        assert_eq!(reader.array::<2>(), Err(Malformed::Truncated));
        assert_eq!(reader.take(2), Err(Malformed::Truncated));
        assert_eq!(reader.rest(), [1]);
        assert_eq!(reader.end(), Err(Malformed::TrailingBytes));
    }

    #[test]
    fn a_field_is_as_long_as_its_prefix_says() {
        let mut reader = Reader::new(&[2, 7, 8, 0, 1, 9, 0, 0, 0]);
        assert_eq!(reader.lv8(), Ok(&[7, 8][..]));
        assert_eq!(reader.lv16(), Ok(&[9][..]));
        assert_eq!(reader.lv8(), Ok(&[][..]));
        assert_eq!(reader.lv16(), Ok(&[][..]));
        assert_eq!(reader.lv8(), Err(Malformed::Truncated));
        assert_eq!(Reader::new(&[3, 1, 2]).lv8(), Err(Malformed::Truncated));
        assert_eq!(Reader::new(&[1, 0, 1, 2]).lv16(), Err(Malformed::Truncated));
        let longest = [&[0xff, 0xff], &[3; 65_535][..]].concat();
        assert_eq!(Reader::new(&longest).lv16(), Ok(&[3; 65_535][..]));
    }
}
