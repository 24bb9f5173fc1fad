use proptest::prelude::*;

use super::*;

const GROUPS: [&str; 3] = ["net", "ops", "storage"];

fn one(name: &str, by: &str, groups: &[&str]) -> GrantedApproval {
    GrantedApproval {
        name: name.into(),
        uid: format!("uid-of-{name}"),
        approved_by: by.into(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

fn missing(demand: &Demand, people: &[(&str, &[&str])]) -> String {
    let granted: Vec<_> = people.iter().map(|(by, groups)| one(by, by, groups)).collect();
    demand.missing_in_words(&granted)
}

#[test]
fn what_is_missing_is_told_in_words_and_each_entry_takes_people_of_its_own() {
    let demand = Demand::of(3).and_of("storage", 1);
    assert_eq!(missing(&demand, &[]), "1 of group storage, 2 more approvals");
    assert_eq!(missing(&demand, &[("ann", &[])]), "1 of group storage, 1 more approval");
    assert_eq!(missing(&demand, &[("ann", &["storage"])]), "2 more approvals");
    assert_eq!(missing(&demand, &[("ann", &[]), ("bob", &[]), ("cat", &[])]), "1 of group storage");
    assert_eq!(missing(&demand, &[("ann", &[]), ("bob", &["storage"]), ("cat", &[])]), "");
    assert!(Demand::default().is_met_by(&[]));
}

#[test]
fn nobody_counts_for_two_groups() {
    let demand = Demand::default().and_of("ops", 1).and_of("storage", 1);
    assert_eq!(demand.people(), 2);
    assert_eq!(missing(&demand, &[("ann", &["ops", "storage"])]), "1 of group ops or storage");
    assert_eq!(missing(&demand, &[("ann", &["ops", "storage"]), ("bob", &[])]), "1 of group ops or storage");
    assert_eq!(missing(&demand, &[("ann", &["ops", "storage"]), ("bob", &["ops"])]), "");
    assert_eq!(missing(&demand, &[("ann", &["ops"]), ("bob", &["ops"])]), "1 of group storage");
}

#[test]
fn one_person_counts_once_however_often_they_approve() {
    let twice = [one("a", "ann", &["ops"]), one("b", "ann", &["storage"])];
    assert!(!Demand::of(2).is_met_by(&twice));
    assert!(!Demand::default().and_of("ops", 1).and_of("storage", 1).is_met_by(&twice));
}

#[test]
fn of_one_person_the_approval_counts_that_speaks_for_the_group_they_are_needed_for() {
    let demand = Demand::default().and_of("ops", 1).and_of("storage", 1);
    let all = [one("a", "ann", &["ops"]), one("b", "ann", &["storage"]), one("c", "bob", &["ops"])];
    let chosen = demand.choose(&all.iter().collect::<Vec<_>>(), 16);
    assert_eq!(chosen, BTreeSet::from([1, 2]));
    let plain = Demand::of(2).choose(&all.iter().collect::<Vec<_>>(), 16);
    assert_eq!(plain, BTreeSet::from([0, 2]), "the first by name where none is needed for a group");
}

#[test]
fn who_is_needed_is_never_left_out_for_lack_of_room() {
    let mut all: Vec<_> = (0..20).map(|n| one(&format!("a{n:02}"), &format!("p{n:02}"), &[])).collect();
    all.push(one("z", "zoe", &["storage"]));
    let chosen = Demand::default().and_of("storage", 1).choose(&all.iter().collect::<Vec<_>>(), 16);
    assert_eq!(chosen.len(), 16);
    assert!(chosen.contains(&20));
}

/// By trying every way to seat people, instead of looking for a good one.
fn can_be_seated(seats: &[&str], people: &[Vec<&str>]) -> bool {
    let Some((seat, rest)) = seats.split_first() else { return true };
    (0..people.len()).filter(|person| people[*person].contains(seat)).any(|person| {
        let others: Vec<_> = people.iter().enumerate().filter(|(n, _)| *n != person).collect();
        can_be_seated(rest, &others.into_iter().map(|(_, groups)| groups.clone()).collect::<Vec<_>>())
    })
}

fn any_demand() -> impl Strategy<Value = Demand> {
    (0u32..6, prop::collection::vec((0usize..3, 1u32..3), 0..4)).prop_map(|(people, groups)| {
        groups
            .into_iter()
            .fold(Demand::of(people), |demand, (group, count)| demand.and_of(GROUPS[group], count))
    })
}

/// Each with an own name; some people come twice.
fn any_approvals() -> impl Strategy<Value = Vec<GrantedApproval>> {
    let groups = prop::sample::subsequence(&GROUPS[..], 0..=3);
    prop::collection::vec((0usize..7, groups), 0..8).prop_map(|all| {
        let named = all.into_iter().enumerate();
        named.map(|(n, (by, groups))| one(&format!("a{n}"), &format!("person-{by}"), &groups)).collect()
    })
}

proptest! {
    #[test]
    fn it_is_enough_exactly_when_some_way_of_seating_everybody_says_so(
        demand in any_demand(), all in any_approvals(),
    ) {
        let people: Vec<Vec<&str>> = people(&all).into_iter().map(|(_, groups)| groups.into_iter().collect()).collect();
        let chosen = demand.choose(&all.iter().collect::<Vec<_>>(), 16);
        let rest_on: Vec<_> = chosen.into_iter().map(|place| all[place].clone()).collect();
        prop_assert_eq!(rest_on.len(), people.len(), "everybody once");
        // Whoever brings two approvals speaks only for the groups of one of them.
        let enough = people.len() >= demand.people() as usize && can_be_seated(&demand.seats(), &people);
        prop_assert_eq!(demand.is_met_by(&rest_on), enough);
    }

    #[test]
    fn whoever_is_said_to_be_missing_would_help(demand in any_demand(), all in any_approvals()) {
        let people: Vec<GrantedApproval> =
            demand.choose(&all.iter().collect::<Vec<_>>(), 16).into_iter().map(|place| all[place].clone()).collect();
        let count = |granted: &[GrantedApproval]| -> usize {
            let first = |line: &String| line.split(' ').next().unwrap().parse::<usize>().unwrap();
            demand.missing(granted).iter().map(first).sum()
        };
        let before = count(&people);
        for line in demand.missing(&people) {
            let groups: Vec<&str> = match line.split_once(" of group ") {
                Some((_, groups)) => groups.split(" or ").collect(),
                None => vec!["anybody"],
            };
            for group in groups {
                let more: Vec<_> = people.iter().cloned().chain([one("new", "newcomer", &[group])]).collect();
                prop_assert_eq!(count(&more), before - 1, "{}", group);
            }
        }
    }

    #[test]
    fn more_people_never_make_it_less(demand in any_demand(), all in any_approvals(), more in any_approvals()) {
        if demand.is_met_by(&all) {
            prop_assert!(demand.is_met_by(&[all, more].concat()));
        }
    }
}
