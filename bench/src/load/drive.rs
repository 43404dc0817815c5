//! The load generator: one thread, one request at a time on each connection.
//!
//! A *pool* is a set of connections with the same load. In a closed loop, a connection sends its next request after the
//! last response, so a slow server gets fewer requests. At a fixed rate (an open loop), requests are due at fixed times.
//! A request without a free connection waits, and its latency counts from the time when it was due:
//!
//! ```text
//! due     1    2    3    4    5    6                      a stall of the server, with one connection
//! sent    1    2··············3 4 5 6                     3, 4, 5 were late before they were sent:
//! latency ▏    ▏▁▁▁▁▁▁▁▁▁▁▁▁▁▁                            their latency counts from there
//! ```

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::load::jobs::{Jobs, Load};
use crate::load::response::HttpResponse;

/// Connections with the same load and pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    pub(crate) load: Load,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
}

/// When the next request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// After the response to the last one: a closed loop.
    Closed,
    /// At this number a second, over all connections: an open loop.
    PerSecond(f64),
}

/// The end of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Span {
    For(Duration),
    /// After this number of requests.
    Requests(u64),
}

/// The result of a pool.
pub(crate) struct PoolResult {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
    pub(crate) seconds: f64,
}

/// The time after which a missing response is an error.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
/// The resolution of the system's timers. Shorter waits poll, because requests are due at exact times.
const TIMER_RESOLUTION: Duration = Duration::from_millis(2);

/// Sends requests to a server from all pools at once.
///
/// # Errors
/// If the server does not accept connections.
pub(crate) fn drive(
    address: SocketAddr,
    pools: &[Pool],
    span: Span,
    jobs: &mut Jobs,
) -> io::Result<Vec<PoolResult>> {
    let mut generator = Generator::connect(address, pools)?;
    generator.run(span, jobs)?;
    Ok(generator
        .pools
        .into_iter()
        .map(|pool| pool.result)
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
    /// The number of sent requests. At a fixed rate it determines when the next one is due.
    sent: u64,
    result: PoolResult,
}

struct Connection {
    stream: TcpStream,
    pool: usize,
    request: Vec<u8>,
    response: Vec<u8>,
    filled: usize,
    due: Instant,
    is_waiting: bool,
}

/// The data that a connection has received.
enum Received {
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
            let result = PoolResult {
                requests: 0,
                errors: 0,
                latency: histogram(),
                seconds: 0.0,
            };
            states.push(PoolState {
                pool: *pool,
                idle: (first..connections.len()).collect(),
                sent: 0,
                result,
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
        let mut last_received = began;
        loop {
            let now = Instant::now();
            let next_due = self.send_due(began, now, end, most, jobs);
            if self.in_flight == 0 && next_due.is_none() {
                break;
            }
            if now.duration_since(last_received) > RESPONSE_TIMEOUT {
                self.count_missing();
                break;
            }
            let rest = next_due.map_or(Duration::from_millis(100), |due| {
                due.saturating_duration_since(now)
            });
            self.poll.poll(
                &mut events,
                Some(if rest < TIMER_RESOLUTION {
                    Duration::ZERO
                } else {
                    rest - TIMER_RESOLUTION / 2
                }),
            )?;
            for event in &events {
                last_received = Instant::now();
                self.receive(event.token().0);
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        for state in &mut self.pools {
            state.result.seconds = seconds;
        }
        Ok(())
    }

    /// Sends the due requests. Returns the time of the next one, unless it depends on a response or there is none.
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
        // A request fits into the empty send buffer of a socket.
        match connection.stream.write(&connection.request) {
            Ok(written) if written == connection.request.len() => {
                (connection.due, connection.is_waiting, connection.filled) = (due, true, 0);
                self.in_flight += 1;
            }
            _ => state.result.errors += 1,
        }
    }

    fn receive(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        let driven = &mut self.pools[connection.pool].result;
        match connection.receive() {
            Received::Nothing => return,
            Received::Status(status) if connection.is_waiting => {
                driven
                    .latency
                    .saturating_record(connection.due.elapsed().as_nanos() as u64);
                driven.requests += 1;
                driven.errors += u64::from(status != 200);
                self.pools[connection.pool].idle.push(number);
            }
            // The connection gets no more requests.
            Received::Status(_) | Received::HangUp => driven.errors += 1,
        }
        self.in_flight -= usize::from(std::mem::take(&mut connection.is_waiting));
    }

    /// Counts the missing responses as errors.
    fn count_missing(&mut self) {
        for connection in self
            .connections
            .iter()
            .filter(|connection| connection.is_waiting)
        {
            self.pools[connection.pool].result.errors += 1;
        }
    }
}

impl Connection {
    fn open(address: SocketAddr, pool: usize) -> io::Result<Connection> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let (stream, response) = (TcpStream::from_std(stream), vec![0; 4 << 10]);
        Ok(Connection {
            stream,
            pool,
            request: Vec::new(),
            response,
            filled: 0,
            due: Instant::now(),
            is_waiting: false,
        })
    }

    /// Reads the available bytes. A response is complete when nothing follows, since the server gets no other request.
    fn receive(&mut self) -> Received {
        loop {
            if self.filled == self.response.len() {
                self.response.resize(2 * self.filled, 0);
            }
            match self.stream.read(&mut self.response[self.filled..]) {
                Ok(0) => return Received::HangUp,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Received::Nothing;
                }
                Err(_) => return Received::HangUp,
            }
            if let Some(response) = HttpResponse::parse(&self.response[..self.filled]) {
                return Received::Status(response.status);
            }
        }
    }
}

/// Makes a histogram for latencies from 100 ns to a minute.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, 60_000_000_000, 3).expect("the bounds are sound")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Starts a server for one connection. It stalls once, and otherwise responds at once.
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
                // The response is written in one piece, because the system delays a second small packet.
                let response = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                let _ = stream.write_all(response.as_bytes());
            }
        });
        address
    }

    fn driven(address: SocketAddr, pace: Pace, span: Span) -> PoolResult {
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
    fn a_stall_delays_every_request_that_was_due_in_it() {
        let address = stalls_once(Duration::from_millis(400), "200 OK");
        let driven = driven(
            address,
            Pace::PerSecond(100.0),
            Span::For(Duration::from_millis(500)),
        );
        assert_eq!(
            (driven.requests, driven.errors),
            (50, 0),
            "every due request is sent, even if late"
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
    fn a_status_other_than_200_is_an_error() {
        let address = stalls_once(Duration::ZERO, "503 Busy");
        assert_eq!(driven(address, Pace::Closed, Span::Requests(50)).errors, 50);
    }
}
