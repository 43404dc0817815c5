//! The load generator: one thread, one request at a time on each connection.
//!
//! A *pool* is connections that ask for the same. In a closed loop each sends its next request when the last is
//! answered, so that a slow server is asked less. At a fixed rate, requests are due whether or not the server keeps up;
//! one that finds no free connection waits, and its latency is counted from when it was due:
//!
//! ```text
//! due     1    2    3    4    5    6                      a stall of the server, with one connection
//! sent    1    2··············3 4 5 6                     3, 4, 5 were late before they were sent:
//! latency ▏    ▏▁▁▁▁▁▁▁▁▁▁▁▁▁▁                            they count from where they were due
//! ```

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::answer::Answer;
use crate::jobs::{Jobs, Load};

/// Connections that ask for the same, at the same pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    pub(crate) load: Load,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
}

/// When the next request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// When the last is answered.
    Closed,
    /// So many a second, all connections together.
    PerSecond(f64),
}

/// How long to drive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Span {
    For(Duration),
    /// Until so many requests were sent.
    Requests(u64),
}

/// What a pool came to.
pub(crate) struct Driven {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    /// Nanoseconds.
    pub(crate) latency: Histogram<u64>,
    pub(crate) seconds: f64,
}

/// How long an answer is waited for before it counts as an error.
const PATIENCE: Duration = Duration::from_secs(20);
/// The system's timers are coarser than the times at which requests are due: the rest is spent looking.
const COARSE: Duration = Duration::from_millis(2);

/// Drives a server with all pools at once.
///
/// # Errors
/// When the server does not take connections.
pub(crate) fn drive(
    address: SocketAddr,
    pools: &[Pool],
    span: Span,
    jobs: &mut Jobs,
) -> io::Result<Vec<Driven>> {
    let mut generator = Generator::connect(address, pools)?;
    generator.run(span, jobs)?;
    Ok(generator
        .pools
        .into_iter()
        .map(|pool| pool.driven)
        .collect())
}

struct Generator {
    poll: Poll,
    connections: Vec<Connection>,
    pools: Vec<PoolState>,
    in_flight: usize,
    sent: u64,
}

struct PoolState {
    pool: Pool,
    idle: Vec<usize>,
    /// Requests sent so far: at a fixed rate it tells when the next is due.
    sent: u64,
    driven: Driven,
}

struct Connection {
    stream: TcpStream,
    pool: usize,
    request: Vec<u8>,
    answer: Vec<u8>,
    filled: usize,
    due: Instant,
    is_waiting: bool,
}

/// What has come over a connection.
enum Heard {
    Nothing,
    Status(u16),
    HangUp,
}

impl Generator {
    fn connect(address: SocketAddr, pools: &[Pool]) -> io::Result<Generator> {
        let poll = Poll::new()?;
        let (mut connections, mut states) = (Vec::new(), Vec::new());
        for (number, pool) in pools.iter().enumerate() {
            let first = connections.len();
            for at in first..first + pool.connections {
                let mut connection = Connection::open(address, number)?;
                poll.registry()
                    .register(&mut connection.stream, Token(at), Interest::READABLE)?;
                connections.push(connection);
            }
            let driven = Driven {
                requests: 0,
                errors: 0,
                latency: histogram(),
                seconds: 0.0,
            };
            states.push(PoolState {
                pool: *pool,
                idle: (first..connections.len()).collect(),
                sent: 0,
                driven,
            });
        }
        Ok(Generator {
            poll,
            connections,
            pools: states,
            in_flight: 0,
            sent: 0,
        })
    }

    fn run(&mut self, span: Span, jobs: &mut Jobs) -> io::Result<()> {
        let began = Instant::now();
        let end = match span {
            Span::For(moment) => began + moment,
            Span::Requests(_) => began + Duration::from_secs(24 * 60 * 60),
        };
        let most = if let Span::Requests(most) = span {
            most
        } else {
            u64::MAX
        };
        let mut events = Events::with_capacity(1_024);
        let mut heard_last = began;
        loop {
            let now = Instant::now();
            let next_due = self.send_due(began, now, end, most, jobs);
            if self.in_flight == 0 && next_due.is_none() {
                break;
            }
            if now.duration_since(heard_last) > PATIENCE {
                self.give_up();
                break;
            }
            let rest = next_due.map_or(Duration::from_millis(100), |due| {
                due.saturating_duration_since(now)
            });
            self.poll.poll(
                &mut events,
                Some(if rest < COARSE {
                    Duration::ZERO
                } else {
                    rest - COARSE / 2
                }),
            )?;
            for event in &events {
                heard_last = Instant::now();
                self.hear(event.token().0);
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        self.pools
            .iter_mut()
            .for_each(|state| state.driven.seconds = seconds);
        Ok(())
    }

    /// Sends what is due; returns when the next is, unless that is for an answer to tell or there is none.
    fn send_due(
        &mut self,
        began: Instant,
        now: Instant,
        end: Instant,
        most: u64,
        jobs: &mut Jobs,
    ) -> Option<Instant> {
        let mut next = None;
        for number in 0..self.pools.len() {
            loop {
                let state = &mut self.pools[number];
                let due = match state.pool.pace {
                    Pace::Closed => now,
                    Pace::PerSecond(rate) => {
                        began + Duration::from_secs_f64(state.sent as f64 / rate)
                    }
                };
                if due >= end || self.sent >= most {
                    break;
                }
                if due > now {
                    next = Some(next.map_or(due, |next: Instant| next.min(due)));
                    break;
                }
                let Some(connection) = state.idle.pop() else {
                    break;
                };
                state.sent += 1;
                self.send(connection, due, jobs);
            }
        }
        next
    }

    fn send(&mut self, number: usize, due: Instant, jobs: &mut Jobs) {
        let connection = &mut self.connections[number];
        let state = &mut self.pools[connection.pool];
        jobs.request(state.pool.load, number, &mut connection.request);
        self.sent += 1;
        // A request fits into a socket's empty buffer.
        match connection.stream.write(&connection.request) {
            Ok(written) if written == connection.request.len() => {
                (connection.due, connection.is_waiting, connection.filled) = (due, true, 0);
                self.in_flight += 1;
            }
            _ => state.driven.errors += 1,
        }
    }

    fn hear(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        let driven = &mut self.pools[connection.pool].driven;
        match connection.hear() {
            Heard::Nothing => return,
            Heard::Status(status) if connection.is_waiting => {
                driven
                    .latency
                    .saturating_record(connection.due.elapsed().as_nanos() as u64);
                driven.requests += 1;
                driven.errors += u64::from(status != 200);
                self.pools[connection.pool].idle.push(number);
            }
            // It is not asked again.
            Heard::Status(_) | Heard::HangUp => driven.errors += 1,
        }
        self.in_flight -= usize::from(std::mem::take(&mut connection.is_waiting));
    }

    /// Counts what was never answered.
    fn give_up(&mut self) {
        for connection in self
            .connections
            .iter()
            .filter(|connection| connection.is_waiting)
        {
            self.pools[connection.pool].driven.errors += 1;
        }
    }
}

impl Connection {
    fn open(address: SocketAddr, pool: usize) -> io::Result<Connection> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let (stream, answer) = (TcpStream::from_std(stream), vec![0; 4 << 10]);
        Ok(Connection {
            stream,
            pool,
            request: Vec::new(),
            answer,
            filled: 0,
            due: Instant::now(),
            is_waiting: false,
        })
    }

    /// Reads what there is. Nothing follows a whole answer, so that reading ends there.
    fn hear(&mut self) -> Heard {
        loop {
            if self.filled == self.answer.len() {
                self.answer.resize(2 * self.filled, 0);
            }
            match self.stream.read(&mut self.answer[self.filled..]) {
                Ok(0) => return Heard::HangUp,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
                Err(_) => return Heard::HangUp,
            }
            if let Some(answer) = Answer::parse(&self.answer[..self.filled]) {
                return Heard::Status(answer.status);
            }
        }
    }
}

/// For latencies from 100 ns to a minute.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, 60_000_000_000, 3).expect("the bounds are sound")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server of one connection that stalls once, and answers each request at once else.
    fn stalls_once(stall: Duration, status: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            for number in 0.. {
                if stream.read(&mut request).is_ok_and(|read| read == 0) {
                    break;
                }
                if number == 5 {
                    std::thread::sleep(stall);
                }
                // In one piece, or the system waits for more.
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        address
    }

    fn driven(address: SocketAddr, pace: Pace, span: Span) -> Driven {
        let pool = Pool {
            load: Load::Get,
            connections: 1,
            pace,
        };
        drive(address, &[pool], span, &mut Jobs::new(10))
            .unwrap()
            .remove(0)
    }

    #[test]
    fn a_stall_counts_for_every_request_that_was_due_in_it() {
        let address = stalls_once(Duration::from_millis(400), "200 OK");
        let driven = driven(
            address,
            Pace::PerSecond(100.0),
            Span::For(Duration::from_millis(500)),
        );
        assert_eq!(
            (driven.requests, driven.errors),
            (50, 0),
            "what was due is sent, if late"
        );
        assert!(
            driven.latency.value_at_quantile(0.5) > 100_000_000,
            "most were due in the stall"
        );
    }

    #[test]
    fn in_a_closed_loop_a_stall_is_one_slow_request() {
        let address = stalls_once(Duration::from_millis(400), "200 OK");
        let driven = driven(address, Pace::Closed, Span::Requests(50));
        assert_eq!((driven.requests, driven.errors), (50, 0));
        assert!(driven.latency.value_at_quantile(0.5) < 100_000_000);
        assert!(driven.latency.max() > 390_000_000);
    }

    #[test]
    fn other_answers_than_200_are_errors() {
        let address = stalls_once(Duration::ZERO, "503 Busy");
        assert_eq!(driven(address, Pace::Closed, Span::Requests(50)).errors, 50);
    }
}
