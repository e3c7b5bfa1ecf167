use std::pin::pin;
use std::task::Poll;

use super::*;

const ROOM: Room = Room { most: 2, queue: 3, patience: Duration::from_secs(60) };

fn gate() -> Arc<Gate> {
    Gates::default().gate("ap", ROOM.most, None)
}

/// Enters where there is room.
async fn full(gate: &Arc<Gate>) -> Vec<Permit> {
    let mut permits = Vec::new();
    while !gate.is_shut(Rank::Person) {
        permits.push(gate.enter(Rank::Person, ROOM, true).await.unwrap());
    }
    permits
}

#[tokio::test]
async fn so_many_are_let_in_and_the_next_when_one_leaves() {
    let gate = gate();
    let mut permits = full(&gate).await;
    assert_eq!((permits.len(), gate.load()), (2, (2, 0)));
    let mut next = pin!(gate.enter(Rank::Person, ROOM, true));
    assert!(matches!(polled(next.as_mut()).await, Poll::Pending));
    assert_eq!(gate.load(), (2, 1));
    permits.pop();
    let third = next.await.unwrap();
    assert_eq!(gate.load(), (2, 0));
    drop((permits, third));
    assert_eq!(gate.load(), (0, 0));
}

/// Polls once.
async fn polled<F: Future>(mut future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

#[tokio::test]
async fn people_are_let_in_before_bots_that_came_earlier() {
    let gate = gate();
    let mut permits = full(&gate).await;
    let mut bot = pin!(gate.enter(Rank::Bot, ROOM, true));
    assert!(polled(bot.as_mut()).await.is_pending());
    let mut person = pin!(gate.enter(Rank::Person, ROOM, true));
    assert!(polled(person.as_mut()).await.is_pending());
    permits.pop();
    let person = person.await.unwrap();
    assert!(polled(bot.as_mut()).await.is_pending());
    drop(person);
    bot.await.unwrap();
}

#[tokio::test]
async fn a_person_takes_the_place_of_the_bot_that_came_last() {
    let gate = gate();
    let permits = full(&gate).await;
    let mut bots: Vec<_> = (0..3).map(|_| Box::pin(gate.enter(Rank::Bot, ROOM, true))).collect();
    for bot in &mut bots {
        assert!(polled(bot.as_mut()).await.is_pending());
    }
    assert_eq!(gate.enter(Rank::Bot, ROOM, true).await.err(), Some(Shut::Full));
    let mut person = pin!(gate.enter(Rank::Person, ROOM, true));
    assert!(polled(person.as_mut()).await.is_pending());
    assert_eq!(bots.pop().unwrap().await.err(), Some(Shut::Full));
    assert!(polled(bots[0].as_mut()).await.is_pending());
    let mut people: Vec<_> = (0..2).map(|_| Box::pin(gate.enter(Rank::Person, ROOM, true))).collect();
    for waiting in &mut people {
        assert!(polled(waiting.as_mut()).await.is_pending());
    }
    assert_eq!(gate.enter(Rank::Person, ROOM, true).await.err(), Some(Shut::Full), "three people wait");
    drop(permits);
}

#[tokio::test]
async fn the_background_never_waits_and_leaves_room() {
    let gate = Gates::default().gate("ap", 4, None);
    let room = Room { most: 4, ..ROOM };
    let enter = |rank| gate.enter(rank, room, true);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(enter(Rank::Background).await.unwrap());
    }
    assert_eq!(enter(Rank::Background).await.err(), Some(Shut::Busy));
    held.push(enter(Rank::Person).await.unwrap());
    assert_eq!(gate.enter(Rank::Person, room, false).await.err(), Some(Shut::Busy), "one that is not to wait");
    let alone = Gates::default().gate("one", 1, None);
    assert!(
        alone.enter(Rank::Background, Room { most: 1, ..ROOM }, true).await.is_ok(),
        "or nothing is ever refreshed"
    );
}

#[tokio::test]
async fn nobody_waits_for_longer_than_he_may() {
    let gate = gate();
    let permits = full(&gate).await;
    let room = Room { patience: Duration::from_millis(20), ..ROOM };
    assert_eq!(gate.enter(Rank::Person, room, true).await.err(), Some(Shut::Timeout));
    assert_eq!(gate.load(), (2, 0));
    drop(permits);
    assert_eq!(gate.load(), (0, 0));
}

#[tokio::test]
async fn who_leaves_the_queue_takes_no_room_along() {
    let gate = gate();
    let permits = full(&gate).await;
    {
        let mut left = pin!(gate.enter(Rank::Person, ROOM, true));
        assert!(polled(left.as_mut()).await.is_pending());
    }
    let mut stays = pin!(gate.enter(Rank::Person, ROOM, true));
    assert!(polled(stays.as_mut()).await.is_pending());
    drop(permits);
    let permit = stays.await.unwrap();
    assert_eq!(gate.load(), (1, 0));
    drop(permit);
    // Called, and gone before it heard.
    let permits = full(&gate).await;
    {
        let mut left = pin!(gate.enter(Rank::Person, ROOM, true));
        assert!(polled(left.as_mut()).await.is_pending());
        drop(permits);
        assert_eq!(gate.load(), (1, 0));
    }
    assert_eq!(gate.load(), (0, 0));
}

#[tokio::test]
async fn a_reload_that_makes_room_lets_those_in_who_wait() {
    let gates = Gates::default();
    let gate = gates.gate("ap", 2, None);
    let _permits = full(&gate).await;
    let mut next = pin!(gate.enter(Rank::Person, ROOM, true));
    assert!(polled(next.as_mut()).await.is_pending());
    let after = gates.gate("ap", 3, None);
    let _third = next.await.unwrap();
    assert_eq!(after.load(), (3, 0));
    gates.gate("ap", 1, None);
    assert!(after.is_shut(Rank::Person));
}
