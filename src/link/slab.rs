//! Values under numbers that are never used twice, without a look-up. Knows no value.

/// A number is a slot below and a serial above, so that a stale one finds nothing.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    serial: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), serial: 0 }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> u64 {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push((0, None));
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = (serial, Some(value));
        }
        u64::from(serial) << 32 | u64::from(slot)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let (slot, serial) = parts(number);
        let (at, value) = self.slots.get_mut(slot as usize)?;
        value.as_mut().filter(|_| *at == serial)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let (slot, serial) = parts(number);
        let (_, value) = self.slots.get_mut(slot as usize).filter(|(at, _)| *at == serial)?;
        let value = value.take()?;
        self.free.push(slot);
        if self.free.len() == self.slots.len() {
            // Empty: what a burst took is given back.
            self.slots.clear();
            self.free.clear();
            if self.slots.capacity() > KEPT {
                self.slots.shrink_to(KEPT);
                self.free.shrink_to(KEPT);
            }
        }
        Some(value)
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        for (slot, (_, value)) in (0..).zip(&mut self.slots) {
            if value.as_mut().is_some_and(|value| !keep(value)) {
                *value = None;
                self.free.push(slot);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

/// Slots that an empty slab keeps.
const KEPT: usize = 64;

fn parts(number: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    (u32::from_be_bytes([e, f, g, h]), u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_finds_its_own_value_and_no_later_one() {
        let mut slab = Slab::default();
        let (first, second) = (slab.insert("a"), slab.insert("b"));
        assert_eq!(slab.remove(first), Some("a"));
        let third = slab.insert("c");
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get_mut(third), Some(&mut "c"));
        slab.retain(|value| *value == "c");
        assert_eq!(slab.get_mut(second), None);
        assert_eq!(slab.len(), 1);
        assert_eq!((slab.remove(third), slab.len()), (Some("c"), 0));
        assert_ne!(slab.insert("d"), first);
    }
}
