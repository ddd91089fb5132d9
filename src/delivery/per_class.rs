//! One value for each class. Knows no value.

use crate::priority::Class;

/// One `V` a class, found without a bound to check.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct PerClass<V> {
    control: V,
    critical: V,
    high: V,
    normal: V,
    low: V,
}

impl<V> PerClass<V> {
    /// Asks `make` for each class, most urgent first.
    pub(crate) fn from_fn(mut make: impl FnMut(Class) -> V) -> Self {
        Self {
            control: make(Class::Control),
            critical: make(Class::Critical),
            high: make(Class::High),
            normal: make(Class::Normal),
            low: make(Class::Low),
        }
    }

    #[inline]
    pub(crate) fn get(&self, class: Class) -> &V {
        match class {
            Class::Control => &self.control,
            Class::Critical => &self.critical,
            Class::High => &self.high,
            Class::Normal => &self.normal,
            Class::Low => &self.low,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, class: Class) -> &mut V {
        match class {
            Class::Control => &mut self.control,
            Class::Critical => &mut self.critical,
            Class::High => &mut self.high,
            Class::Normal => &mut self.normal,
            Class::Low => &mut self.low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_finds_its_own_value() {
        let mut values = PerClass::from_fn(|class| class);
        for class in Class::ALL {
            assert_eq!(*values.get(class), class);
            assert_eq!(*values.get_mut(class), class);
        }
    }
}
