use std::collections::HashMap;

use super::*;

fn load(id: u64, weight: u64, active: u32) -> Load {
    Load { id, weight: weight * 100, full_weight: weight, active, cost: None, credit: 0 }
}

fn servers(weights: &[u64]) -> Vec<Load> {
    weights.iter().enumerate().map(|(index, weight)| load(mix(index as u64 + 1), *weight, 0)).collect()
}

fn turns(balance: Balance, loads: &mut [Load], count: usize) -> Vec<usize> {
    let lots = Lots::new(7);
    (0..count).map(|_| choose(balance, loads, None, 0, &lots).unwrap()).collect()
}

/// Where each of many keys goes, by the servers' names.
fn placed(loads: &[Load], keys: u64, factor: u32) -> HashMap<u64, u64> {
    (0..keys).map(|key| (key, loads[rendezvous::choose(loads, mix(key), factor).unwrap()].id)).collect()
}

fn counted(placed: &HashMap<u64, u64>, id: u64) -> usize {
    placed.values().filter(|found| **found == id).count()
}

#[test]
fn round_robin_shares_are_exact_and_turns_are_spread() {
    assert_eq!(turns(Balance::RoundRobin, &mut servers(&[5, 1, 1]), 7), [0, 0, 1, 0, 2, 0, 0]);
    assert_eq!(turns(Balance::RoundRobin, &mut servers(&[1, 1]), 4), [0, 1, 0, 1]);
    let order = turns(Balance::RoundRobin, &mut servers(&[2, 1]), 300);
    assert_eq!(order.iter().filter(|turn| **turn == 0).count(), 200);
    for round in order.chunks(3) {
        assert_eq!(round.iter().filter(|turn| **turn == 1).count(), 1, "smooth within every round");
    }
}

#[test]
fn round_robin_is_exact_over_every_round_for_any_weights() {
    let lots = Lots::new(1);
    for _ in 0..200 {
        let weights: Vec<u64> = (0..1 + lots.draw() % 6).map(|_| 1 + lots.draw() % 9).collect();
        let total = usize::try_from(weights.iter().sum::<u64>()).unwrap();
        let mut loads = servers(&weights);
        for round in turns(Balance::RoundRobin, &mut loads, total * 3).chunks(total) {
            for (index, weight) in weights.iter().enumerate() {
                let count = round.iter().filter(|turn| **turn == index).count();
                assert_eq!(count as u64, *weight, "{weights:?}");
            }
        }
    }
}

#[test]
fn least_connections_goes_by_weight_and_ties_take_turns() {
    let choose = |loads: &mut [Load]| least_connections(loads).unwrap();
    assert_eq!(choose(&mut [load(1, 1, 3), load(2, 1, 2)]), 1);
    assert_eq!(choose(&mut [load(1, 2, 3), load(2, 1, 2)]), 0, "3 of 2 is less than 2 of 1");
    let mut even = [load(1, 1, 5), load(2, 1, 1), load(3, 1, 1)];
    assert_eq!([choose(&mut even), choose(&mut even), choose(&mut even), choose(&mut even)], [1, 2, 1, 2]);
}

#[test]
fn random_two_takes_the_less_loaded_and_the_same_seed_draws_the_same() {
    let two = [load(1, 1, 9), load(2, 1, 0)];
    let lots = Lots::new(42);
    assert!((0..100).all(|_| better_of_two(&two, &lots) == Some(1)), "of two both are looked at");
    let draws = |seed| {
        let lots = Lots::new(seed);
        (0..20).map(|_| better_of_two(&servers(&[1, 1, 1, 1]), &lots)).collect::<Vec<_>>()
    };
    assert_eq!(draws(5), draws(5));
    assert_ne!(draws(5), draws(6));
    assert_eq!(better_of_two(&[load(1, 1, 3)], &lots), Some(0));
    assert_eq!(better_of_two(&[], &lots), None);
}

#[test]
fn random_two_keeps_the_most_loaded_near_the_average() {
    let (mut loads, lots) = (servers(&[1; 10]), Lots::new(3));
    for _ in 0..1000 {
        let index = better_of_two(&loads, &lots).unwrap();
        loads[index].active += 1;
    }
    assert!(loads.iter().all(|load| (90..=110).contains(&load.active)), "{loads:?}");
}

#[test]
fn first_is_the_first_that_has_room() {
    assert_eq!(turns(Balance::First, &mut servers(&[1, 5]), 3), [0, 0, 0]);
}

#[test]
fn least_time_prefers_the_quick_and_counts_what_is_in_flight() {
    let measured = |active, cost| Load { cost: Some(cost), ..load(1, 1, active) };
    assert_eq!(cost::least(&[measured(0, 0.5), measured(0, 0.1)]), Some(1));
    assert_eq!(cost::least(&[measured(0, 0.5), measured(9, 0.1)]), Some(0));
    assert_eq!(cost::least(&[measured(0, 0.1), load(2, 1, 0)]), Some(1), "the unknown is asked soon");
    assert_eq!(cost::least(&[measured(0, 0.1), load(2, 1, 2)]), Some(0), "and not by everybody at once");
    assert_eq!(cost::least(&servers(&[1, 1])), None, "nothing is known: least connections decides");
}

#[test]
fn cost_rises_at_once_and_falls_by_and_by() {
    let at = |seconds| forebay_cache::clock::Timestamp::from_secs(seconds);
    let second = std::time::Duration::from_secs(1);
    let mut cost = Cost::default();
    assert_eq!(cost.at(at(0)), None);
    cost.observe(second / 10, at(0));
    cost.observe(second * 5, at(1));
    assert_eq!(cost.at(at(1)), Some(5.0));
    cost.observe(second / 10, at(2));
    let after = cost.at(at(2)).unwrap();
    assert!((4.0..5.0).contains(&after), "{after}");
    let later = cost.at(at(32)).unwrap();
    assert!((0.1..0.3).contains(&later), "it is asked again: {later}");
}

#[test]
fn hashing_is_by_weight() {
    let loads = servers(&[2, 1, 1]);
    let placed = placed(&loads, 40_000, 0);
    for (load, expected) in loads.iter().zip([20_000i64, 10_000, 10_000]) {
        let count = counted(&placed, load.id) as i64;
        assert!((count - expected).abs() < expected / 20, "{count} of {expected}");
    }
}

#[test]
fn hashing_moves_the_keys_of_a_server_that_goes_and_no_others() {
    let all = servers(&[1, 2, 3, 1, 1]);
    let before = placed(&all, 10_000, 0);
    for gone in 0..all.len() {
        let left: Vec<Load> =
            all.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, load)| load.clone()).collect();
        let after = placed(&left, 10_000, 0);
        let moved_wrongly = before.iter().filter(|(key, id)| **id != all[gone].id && after[key] != **id).count();
        assert_eq!(moved_wrongly, 0);
        for load in &left {
            assert!(counted(&after, load.id) > counted(&before, load.id), "they are spread over all that are left");
        }
    }
}

#[test]
fn order_of_servers_makes_no_difference_to_hashing() {
    let loads = servers(&[1, 2, 3]);
    let reversed: Vec<Load> = loads.iter().rev().cloned().collect();
    assert_eq!(placed(&loads, 1000, 0), placed(&reversed, 1000, 0));
}

#[test]
fn bounded_load_sends_a_hot_key_on_before_its_server_drowns() {
    let mut loads = servers(&[1, 1, 1, 1]);
    for _ in 0..400 {
        let index = rendezvous::choose(&loads, 99, 125).unwrap();
        loads[index].active += 1;
    }
    let most = loads.iter().map(|load| load.active).max().unwrap();
    assert!(most <= 126, "a quarter of 400, and a quarter of that: {loads:?}");
    let mut unbounded = servers(&[1, 1, 1, 1]);
    for _ in 0..400 {
        let index = rendezvous::choose(&unbounded, 99, 0).unwrap();
        unbounded[index].active += 1;
    }
    assert_eq!(unbounded.iter().map(|load| load.active).max(), Some(400));
}

#[test]
fn bounded_load_always_leaves_room_somewhere() {
    let lots = Lots::new(11);
    for _ in 0..2000 {
        let mut loads = servers(&[1, 3, 2]);
        for load in &mut loads {
            load.active = u32::try_from(lots.draw() % 50).unwrap();
        }
        assert!(rendezvous::choose(&loads, lots.draw(), 101).is_some(), "{loads:?}");
    }
}

#[test]
fn request_without_a_key_takes_its_turn() {
    assert_eq!(turns(Balance::HashHeader, &mut servers(&[1, 1]), 4), [0, 1, 0, 1]);
}
