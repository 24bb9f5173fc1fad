//! Who takes which seat, if nobody can take two.

use std::collections::BTreeSet;

/// Seats that people have taken: as many as can be taken at all.
pub(super) struct Seating<F> {
    fits: F,
    people: usize,
    /// By seat, who has it.
    taken_by: Vec<Option<usize>>,
}

impl<F: Fn(usize, usize) -> bool> Seating<F> {
    /// Seats people of whom `fits(person, seat)` says where they could sit.
    pub(super) fn of(people: usize, seats: usize, fits: F) -> Self {
        let mut seating = Self { fits, people, taken_by: vec![None; seats] };
        for person in 0..people {
            seating.seats(person, &mut BTreeSet::new());
        }
        seating
    }

    /// Finds a seat, if need be by asking those who sit on one that fits to move. Each seat is asked for once.
    fn seats(&mut self, person: usize, asked: &mut BTreeSet<usize>) -> bool {
        for seat in 0..self.taken_by.len() {
            if !(self.fits)(person, seat) || !asked.insert(seat) {
                continue;
            }
            let is_free = self.taken_by[seat].is_none_or(|sitting| self.seats(sitting, asked));
            if is_free {
                self.taken_by[seat] = Some(person);
                return true;
            }
        }
        false
    }

    /// Where this person sits.
    pub(super) fn seat_of(&self, person: usize) -> Option<usize> {
        self.taken_by.iter().position(|sitting| *sitting == Some(person))
    }

    pub(super) fn empty(&self) -> impl Iterator<Item = usize> {
        self.taken_by.iter().enumerate().filter(|(_, sitting)| sitting.is_none()).map(|(seat, _)| seat)
    }

    /// The seats of which any would do to fill this empty one, because those who have them could move on.
    pub(super) fn as_good_as(&self, empty: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::from([empty]);
        let mut to_look_at = vec![empty];
        while let Some(seat) = to_look_at.pop() {
            let movable = (0..self.people).filter(|person| (self.fits)(*person, seat));
            for left in movable.filter_map(|person| self.seat_of(person)) {
                if found.insert(left) {
                    to_look_at.push(left);
                }
            }
        }
        found
    }
}
