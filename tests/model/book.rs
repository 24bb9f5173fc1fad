//! Values that are met again and again, each kept once and known by its number: the model handles millions of situations
//! made of a few thousand of them.

use std::{collections::HashMap, fmt::Debug};

/// The number of a value in its book.
pub(crate) type Id = u16;

/// Kept by what they show of themselves: states and events can be compared, but not hashed.
#[derive(Debug)]
pub(crate) struct Book<T> {
    values: Vec<T>,
    numbers: HashMap<String, Id>,
}

impl<T> Default for Book<T> {
    fn default() -> Self {
        Self { values: vec![], numbers: HashMap::new() }
    }
}

impl<T: Debug> Book<T> {
    pub(crate) fn number(&mut self, value: T) -> Id {
        let shown = format!("{value:?}");
        if let Some(known) = self.numbers.get(&shown) {
            return *known;
        }
        let number = Id::try_from(self.values.len()).expect("far fewer values than this are ever met");
        self.numbers.insert(shown, number);
        self.values.push(value);
        number
    }

    pub(crate) fn get(&self, number: Id) -> &T {
        &self.values[usize::from(number)]
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}
