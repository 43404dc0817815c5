//! The HTTP/1 connections, looked after by one task: one that waits too long for a request's head is cut, and when the
//! server drains each ends with the request that it is answering.
//!
//! A timer and a channel of its own would have to be looked at whenever a connection wakes, twice with each request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::connection::begins;
use crate::head::Head;

/// In how many steps the time that a head may take is counted.
const STEPS: u32 = 4;

/// The connections that are open.
#[derive(Default)]
pub(crate) struct Heads(Mutex<State>);

#[derive(Default)]
struct State {
    places: HashMap<u64, Place>,
    /// How many connections there have been.
    connections: u64,
    is_draining: bool,
}

/// A connection among those that are looked after.
struct Place {
    head: Arc<Head>,
    /// What the head's phase was at the last step, if it was awaited then.
    awaited: Option<u32>,
    /// For how many steps it has been the same head.
    steps: u32,
}

impl Heads {
    /// Looks after a connection's heads until what is returned is dropped.
    pub(crate) fn watch(self: &Arc<Heads>, head: &Arc<Head>) -> Watching {
        let mut state = self.0.lock();
        state.connections += 1;
        if state.is_draining {
            head.drain();
        }
        let number = state.connections;
        state.places.insert(
            number,
            Place {
                head: Arc::clone(head),
                awaited: None,
                steps: 0,
            },
        );
        Watching {
            heads: Arc::clone(self),
            number,
        }
    }

    /// Cuts connections whose next head has been awaited for `time`, or a step longer; once the server drains, tells
    /// all of them.
    pub(crate) async fn look_after(&self, time: Duration, mut draining: watch::Receiver<bool>) {
        let steps = async {
            loop {
                tokio::time::sleep(time / STEPS).await;
                // Waking a connection may end it, and it then takes its place out: not while that is locked.
                let late: Vec<_> = self
                    .0
                    .lock()
                    .places
                    .values_mut()
                    .filter_map(Place::step)
                    .collect();
                late.iter().for_each(|(head, phase)| head.cut(*phase));
            }
        };
        tokio::select! {
            () = steps => {}
            () = begins(&mut draining) => {}
        }
        let open: Vec<_> = {
            let mut state = self.0.lock();
            state.is_draining = true;
            state
                .places
                .values()
                .map(|place| Arc::clone(&place.head))
                .collect()
        };
        open.iter().for_each(|head| head.drain());
    }
}

impl Place {
    /// Counts a step; returns the phase in which the head is late.
    fn step(&mut self) -> Option<(Arc<Head>, u32)> {
        let awaited = self.head.awaited();
        let is_same = awaited.is_some() && awaited == self.awaited;
        (self.awaited, self.steps) = (awaited, if is_same { self.steps + 1 } else { 0 });
        awaited
            .filter(|_| self.steps >= STEPS)
            .map(|phase| (Arc::clone(&self.head), phase))
    }
}

/// A connection's place among those that are looked after.
pub(crate) struct Watching {
    heads: Arc<Heads>,
    number: u64,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.heads.0.lock().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::head::Answering;

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_awaited_too_long_is_cut_and_no_other() {
        let (heads, [late, busy, quick]) = (
            Arc::new(Heads::default()),
            [(); 3].map(|()| Arc::new(Head::default())),
        );
        let (_drain, draining) = watch::channel(false);
        let time = Duration::from_secs(4);
        let looking = tokio::spawn({
            let heads = Arc::clone(&heads);
            async move { heads.look_after(time, draining).await }
        });
        let _watching = [&late, &busy, &quick].map(|head| heads.watch(head));
        let answering = Answering::begin(&busy);
        for second in 1..=5 {
            tokio::task::yield_now().await;
            advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
            assert_eq!(late.is_cut(), second == 5, "after {second} s");
            assert!(!busy.is_cut() && !quick.is_cut());
            if second == 3 {
                drop(Answering::begin(&quick));
            }
        }
        // The head that was late comes in before the connection is cut.
        let answered = Answering::begin(&late);
        assert!(!late.is_cut());
        drop((answered, answering));
        assert!(!late.is_cut());
        looking.abort();
    }

    #[tokio::test]
    async fn every_connection_is_told_that_the_server_drains() {
        let heads = Arc::new(Heads::default());
        let [before, gone, after] = [(); 3].map(|()| Arc::new(Head::default()));
        let (drain, draining) = watch::channel(false);
        let _before = heads.watch(&before);
        drop(heads.watch(&gone));
        drain.send_replace(true);
        heads.look_after(Duration::from_secs(4), draining).await;
        let _after = heads.watch(&after);
        assert_eq!(
            [&before, &gone, &after].map(|head| head.is_draining()),
            [true, false, true]
        );
    }
}
