//! A list whose places are all known: whoever asks for one that is not there is wrong.

use std::ops::{Index, IndexMut};

#[derive(Debug)]
pub(super) struct Shelf<T>(pub(super) Vec<T>);

impl<T> Shelf<T> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Index<usize> for Shelf<T> {
    type Output = T;

    fn index(&self, place: usize) -> &T {
        match self.0.get(place) {
            Some(thing) => thing,
            None => unreachable!("there is no place {place}"),
        }
    }
}

impl<T> IndexMut<usize> for Shelf<T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        match self.0.get_mut(place) {
            Some(thing) => thing,
            None => unreachable!("there is no place {place}"),
        }
    }
}
