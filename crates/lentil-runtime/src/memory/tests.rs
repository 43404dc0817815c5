use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;

use super::ledger::{Memory, MemoryLimits};
use super::ledger::{NEAR_TIMEOUT, RELIEF_INTERVAL};

fn memory(process: usize, client: usize) -> Memory {
    Memory::new(MemoryLimits { process, client })
}

#[test]
fn a_charge_is_given_back_when_it_is_dropped() {
    let memory = memory(1_000, 500);
    let (client, shared) = (memory.client(), memory.charge(100));
    let mut own = client.charge(200);
    own.set(250);
    assert_eq!((client.held(), memory.stats().used), (250, 350));
    own.set(50);
    drop(shared);
    assert_eq!((client.held(), memory.stats().used), (50, 50));
    drop(own);
    drop(client);
    let stats = memory.stats();
    assert_eq!((stats.used, stats.peak, stats.clients), (0, 350, 0));
}

#[test]
fn a_client_is_refused_over_its_own_limit_only() {
    let memory = memory(10_000, 500);
    let (first, second) = (memory.client(), memory.client());
    let held = first.try_charge(400).expect("it is within the limit");
    assert!(first.try_charge(101).is_err() && second.try_charge(101).is_ok());
    drop(held);
    assert!(first.try_charge(101).is_ok());
    assert_eq!(memory.stats().refusals, 1);
}

#[tokio::test(start_paused = true)]
async fn the_client_that_holds_the_most_is_evicted_and_not_the_one_that_asks_next() {
    let memory = memory(1_000, 1_000);
    let [small, large, watcher] = [(); 3].map(|()| memory.client());
    let _small = small.charge(200);
    let mut large_charge = Some(large.charge(300));
    let shared = memory.charge(400);
    let watched = watcher.watch(400);
    let relief = memory.relieve(|_| ());
    tokio::pin!(relief);
    assert!(relief.as_mut().now_or_never().is_none());
    assert!(![&small, &large, &watcher].iter().any(|it| it.is_evicted()));
    // It asks next, and is within the limits by itself; the watcher's results weigh the most.
    let _more = small.charge(150);
    assert!(relief.as_mut().now_or_never().is_none());
    let evicted = [&small, &large, &watcher].map(|it| it.is_evicted());
    assert_eq!(evicted, [false, false, true]);
    // No other client is evicted while the first gives its memory back, nor afterwards.
    tokio::time::advance(RELIEF_INTERVAL).await;
    assert!(relief.as_mut().now_or_never().is_none());
    drop((watched, shared));
    tokio::time::advance(RELIEF_INTERVAL).await;
    assert!(relief.as_mut().now_or_never().is_none());
    assert!(!small.is_evicted() && !large.is_evicted());
    large_charge.take();
    assert_eq!(memory.stats().evictions, 1);
}

#[tokio::test(start_paused = true)]
async fn memory_is_reserved_once_the_heaviest_other_client_is_gone() {
    let memory = memory(1_000, 1_000);
    let [small, large, asking] = [(); 3].map(|()| memory.client());
    let _small = small.charge(15);
    let held = large.charge(500);
    let _own = asking.charge(400);
    let reserving = asking.reserve(300);
    tokio::pin!(reserving);
    assert!(reserving.as_mut().now_or_never().is_none());
    let evicted = [&small, &large, &asking].map(|it| it.is_evicted());
    assert_eq!(evicted, [false, true, false]);
    drop(held);
    tokio::time::advance(RELIEF_INTERVAL).await;
    let reserved = reserving.await.unwrap();
    assert_eq!(memory.stats().used, 715);
    drop(reserved);
    assert_eq!((memory.stats().used, asking.held()), (415, 400));
    // A little is always there.
    let nearly_all = asking.charge(600);
    assert!(memory.client().reserve(15).await.is_ok());
    drop(nearly_all);
    // The other client is evicted, but it gives nothing back in time.
    let _more = asking.reserve(330).await.unwrap();
    assert!(small.reserve(500).await.is_err());
    assert!(asking.is_evicted());
}

#[tokio::test(start_paused = true)]
async fn caches_are_shed_before_a_client_is_evicted() {
    let memory = memory(1_000, 1_000);
    let client = memory.client();
    let cache = Mutex::new(vec![memory.charge(600)]);
    let _held = client.charge(500);
    let relief = memory.relieve(|excess| {
        assert_eq!(excess, 100);
        cache.lock().clear();
    });
    assert!(relief.now_or_never().is_none());
    assert!(!client.is_evicted());
    assert_eq!(memory.stats().used, 500);
}

#[tokio::test(start_paused = true)]
async fn near_the_limit_only_clients_above_their_share_are_read_slowly() {
    let memory = memory(8 << 20, 8 << 20);
    let (greedy, polite) = (memory.client(), memory.client());
    let held = greedy.charge((7 << 20) + 1);
    let _polite = polite.charge(1_000);
    assert!(polite.readable().now_or_never().is_some());
    assert!(greedy.readable().now_or_never().is_none());
    // The wait is bounded: the server may have to read from this client to free its memory.
    let began = tokio::time::Instant::now();
    greedy.readable().await;
    assert!(began.elapsed() >= Duration::from_millis(500));
    drop(held);
    assert!(greedy.readable().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_read_slowly_for_long_is_evicted_and_no_other() {
    let memory = memory(8 << 20, 8 << 20);
    let (idle, greedy) = (memory.client(), memory.client());
    let _idle = idle.charge((3 << 20) + 1);
    let held = greedy.charge(4 << 20);
    assert!(!greedy.is_readable());
    let relief = memory.relieve(|_| ());
    tokio::pin!(relief);
    assert!(relief.as_mut().now_or_never().is_none());
    tokio::time::advance(NEAR_TIMEOUT).await;
    assert!(relief.as_mut().now_or_never().is_none());
    assert_eq!((idle.is_evicted(), greedy.is_evicted()), (false, true));
    drop(held);
    tokio::time::advance(NEAR_TIMEOUT).await;
    assert!(relief.as_mut().now_or_never().is_none());
    assert!(!idle.is_evicted());
}

#[tokio::test(start_paused = true)]
async fn new_work_waits_for_room_and_not_for_ever() {
    let memory = memory(1_000, 1_000);
    let over = memory.charge(1_001);
    let waiting = memory.room();
    tokio::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(over);
    waiting.await;
    let _over = memory.charge(1_001);
    memory.room().await;
}

#[tokio::test]
async fn an_evicted_client_is_notified_whenever_it_starts_to_wait() {
    let memory = memory(10, 10);
    let client = memory.client();
    let _held = client.charge(11);
    let before = client.clone();
    let listening = tokio::spawn(async move { before.evicted().await });
    tokio::task::yield_now().await;
    assert!(memory.relieve(|_| ()).now_or_never().is_none());
    listening.await.expect("the level change wakes the task");
    client.evicted().await;
}
