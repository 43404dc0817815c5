//! Transactions of several clients on every store.
//!
//! The documents are numbers under a key, indexed by the number. A line `a> STEP` is a step of the client `a`:
//!
//! ```text
//! begin [exclusive]        begins a transaction
//! snapshot                 takes a read-only view
//! get KEY                  prints KEY=NUMBER, or KEY=none
//! scan FROM..TO            prints the documents with FROM <= NUMBER < TO, in the order of the numbers
//! count FROM..TO           counts them
//! put KEY NUMBER           writes a document; prints nothing
//! add KEY NUMBER           reads a document and writes the sum
//! delete KEY               deletes a document
//! leave KEY                writes 0 if another document has the number 1 too
//! savepoint, release, rollback
//! commit, abort            ends the transaction or the view
//! retry                    executes the transaction again if its commit met a conflict
//! ```
//!
//! A line `> set KEY=NUMBER …` commits documents, and `> all` prints all committed documents. While a client waits for
//! the write lock its steps wait too; their output follows when it gets the lock.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lentil_store::conformance::support::{commit, index, n, task, which};
use lentil_store::{
    CommitError, IndexRef, Order, Snapshot, Store, StoreError, Transaction, WriteBuffer,
};
use lentil_values::{IndexKey, Interval, KeyWriter, Value};

use crate::golden::{Line, Script, Transcript};
use crate::stores::new_stores;

#[tokio::test]
async fn isolation() {
    for script in Script::of_folder("isolation") {
        let mut stages: Vec<(&str, Stage)> = Vec::new();
        let stores = new_stores().await;
        for (name, store) in &stores {
            stages.push((name, Stage::new(Arc::clone(&store.store))));
        }
        let mut transcript = Transcript::default();
        for line in script.lines() {
            match line {
                Line::Comment(line) => transcript.add_line(line),
                Line::Step(step) => {
                    transcript.add_line(step);
                    let mut outputs = Vec::new();
                    for (name, stage) in &mut stages {
                        outputs.push((*name, stage.execute(step).await));
                    }
                    add_outputs(&mut transcript, &outputs);
                }
            }
        }
        script.check(&transcript);
    }
}

/// Adds the output of a step on each store; where it differs, with the names of the stores.
fn add_outputs(transcript: &mut Transcript, outputs: &[(&str, Vec<String>)]) {
    let (_, first) = &outputs[0];
    let are_equal = outputs.iter().all(|(_, output)| output == first);
    if are_equal {
        for line in first {
            transcript.add_output(line);
        }
        return;
    }
    let mut groups: Vec<(Vec<&str>, &Vec<String>)> = Vec::new();
    for (name, output) in outputs {
        match groups.iter_mut().find(|(_, other)| *other == output) {
            Some((names, _)) => names.push(name),
            None => groups.push((vec![name], output)),
        }
    }
    for (names, output) in groups {
        for line in output {
            transcript.add_output(&format!("[{}] {line}", names.join(", ")));
        }
    }
}

type Begin = Pin<Box<dyn Future<Output = Result<Box<dyn Transaction>, StoreError>>>>;

/// A store and its clients.
struct Stage {
    store: Arc<dyn Store>,
    clients: BTreeMap<String, Client>,
    /// The clients that wait for the write lock, in their order.
    waiting: VecDeque<String>,
}

#[derive(Default)]
struct Client {
    state: ClientState,
    /// The steps of the transaction so far.
    steps: Vec<String>,
    /// Whether the last commit met a conflict.
    met_conflict: bool,
}

#[derive(Default)]
enum ClientState {
    #[default]
    Idle,
    /// It waits for the write lock.
    Waiting(Begin, Vec<String>),
    Writing(Box<dyn Transaction>, WriteBuffer),
    Reading(Box<dyn Snapshot>),
}

impl Stage {
    fn new(store: Arc<dyn Store>) -> Stage {
        Stage {
            store,
            clients: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Executes a line of a script and returns its output.
    async fn execute(&mut self, line: &str) -> Vec<String> {
        let (name, step) = line.split_once("> ").expect("a step is `client> step`");
        if name.is_empty() {
            return self.execute_outside(step).await;
        }
        let mut output = Vec::new();
        let mut client = self.clients.remove(name).unwrap_or_default();
        if let ClientState::Waiting(_, steps) = &mut client.state {
            steps.push(step.to_owned());
            output.push("waits".to_owned());
        } else {
            self.step(name, &mut client, step, &mut output).await;
        }
        self.clients.insert(name.to_owned(), client);
        self.wake(&mut output).await;
        output
    }

    /// Executes a step that belongs to no client.
    async fn execute_outside(&self, step: &str) -> Vec<String> {
        let store = &*self.store;
        match step.split_once(' ') {
            Some(("set", pairs)) => {
                let pair = |pair: &str| {
                    let (key, number) = pair.split_once('=').expect("set KEY=NUMBER");
                    let number = number.parse().expect("a number");
                    (
                        None,
                        Some(task(store, key.parse().expect("a key"), Some(number))),
                    )
                };
                commit(store, pairs.split(' ').map(pair)).await;
                Vec::new()
            }
            None if step == "all" => {
                let mut snapshot = store.snapshot().await.expect("a snapshot is taken");
                let rows = snapshot
                    .scan(
                        index(store, "by_id"),
                        &Interval::all(),
                        Order::Asc,
                        usize::MAX,
                    )
                    .await
                    .expect("the index can be scanned");
                vec![print_documents(
                    rows.iter()
                        .map(|row| (which(&row.document), n(&row.document))),
                )]
            }
            _ => panic!("unknown step: {step}"),
        }
    }

    /// Gives the write lock to the first client that waits, if it is free, and executes the steps that it has missed.
    async fn wake(&mut self, output: &mut Vec<String>) {
        while let Some(name) = self.waiting.front().cloned() {
            let is_locked = self
                .clients
                .values()
                .any(|client| matches!(client.state, ClientState::Writing(..)));
            if is_locked {
                return;
            }
            self.waiting.pop_front();
            let mut client = self.clients.remove(&name).expect("the client exists");
            let ClientState::Waiting(begin, steps) = std::mem::take(&mut client.state) else {
                panic!("{name} does not wait");
            };
            let transaction = begin.await.expect("the write lock is free");
            client.state =
                ClientState::Writing(transaction, WriteBuffer::new(self.store.catalog()));
            output.push(format!("{name}> begin: has the write lock"));
            for step in steps {
                let mut lines = Vec::new();
                self.step(&name, &mut client, &step, &mut lines).await;
                output.extend(lines.iter().map(|line| format!("{name}> {step}: {line}")));
            }
            self.clients.insert(name, client);
        }
    }

    /// Executes a step of a client that does not wait.
    async fn step(
        &mut self,
        name: &str,
        client: &mut Client,
        step: &str,
        output: &mut Vec<String>,
    ) {
        let words: Vec<&str> = step.split(' ').collect();
        match words[0] {
            "begin" => {
                self.begin(name, client, words.get(1) == Some(&"exclusive"), output)
                    .await
            }
            "snapshot" => {
                let snapshot = self.store.snapshot().await.expect("a snapshot is taken");
                client.state = ClientState::Reading(snapshot);
            }
            "commit" => self.commit(client, output).await,
            "abort" => client.state = ClientState::Idle,
            "retry" => {
                if !std::mem::take(&mut client.met_conflict) {
                    output.push("not needed".to_owned());
                    return;
                }
                for step in std::mem::take(&mut client.steps) {
                    let mut lines = Vec::new();
                    Box::pin(self.step(name, client, &step, &mut lines)).await;
                    output.extend(lines.iter().map(|line| format!("{step}: {line}")));
                }
                return;
            }
            _ => {
                let line = client.read_or_write(&*self.store, &words).await;
                output.extend(line);
            }
        }
        match words[0] {
            "begin" => client.steps = vec![step.to_owned()],
            _ => client.steps.push(step.to_owned()),
        }
    }

    async fn begin(
        &mut self,
        name: &str,
        client: &mut Client,
        exclusive: bool,
        output: &mut Vec<String>,
    ) {
        let store = Arc::clone(&self.store);
        let mut begin: Begin = Box::pin(async move {
            if exclusive {
                store.begin_exclusive().await
            } else {
                store.begin().await
            }
        });
        let is_other_writing = self
            .clients
            .values()
            .any(|client| matches!(client.state, ClientState::Writing(..)));
        // Another client's transaction may hold the write lock. Then the future is pending until that ends.
        if is_other_writing {
            match begin.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => {
                    output.push("waits".to_owned());
                    client.state = ClientState::Waiting(begin, Vec::new());
                    self.waiting.push_back(name.to_owned());
                    return;
                }
                Poll::Ready(begun) => begin = Box::pin(std::future::ready(begun)),
            }
        }
        let transaction = begin.await.expect("a transaction begins");
        client.state = ClientState::Writing(transaction, WriteBuffer::new(self.store.catalog()));
    }

    async fn commit(&mut self, client: &mut Client, output: &mut Vec<String>) {
        let ClientState::Writing(transaction, buffer) = std::mem::take(&mut client.state) else {
            return;
        };
        output.push(match transaction.commit(buffer.into_write_set()).await {
            Ok(_) => "committed".to_owned(),
            Err(CommitError::Conflict) => {
                client.met_conflict = true;
                "conflict".to_owned()
            }
            Err(error) => panic!("{error}"),
        });
    }
}

impl Client {
    /// Executes a step of the open transaction or view.
    async fn read_or_write(&mut self, store: &dyn Store, words: &[&str]) -> Option<String> {
        let key = || words[1].parse::<u64>().expect("a key");
        let number = || words[2].parse::<i64>().expect("a number");
        match words[0] {
            "get" => {
                let number = self.get(store, key()).await;
                let number = number.map_or("none".to_owned(), |number| number.to_string());
                Some(format!("{}={number}", key()))
            }
            "scan" => Some(print_documents(
                self.scan(store, words[1]).await.into_iter(),
            )),
            "count" => Some(self.count(store, words[1]).await.to_string()),
            "put" => {
                self.put(store, key(), Some(number())).await;
                None
            }
            "add" => {
                let sum = self.get(store, key()).await.unwrap_or_default() + number();
                self.put(store, key(), Some(sum)).await;
                Some(format!("{}={sum}", key()))
            }
            "delete" => {
                self.put(store, key(), None).await;
                None
            }
            "leave" => {
                if self.count(store, "1..2").await < 2 {
                    return Some("stays".to_owned());
                }
                self.put(store, key(), Some(0)).await;
                Some("leaves".to_owned())
            }
            word => {
                let ClientState::Writing(_, buffer) = &mut self.state else {
                    panic!("{word} needs a transaction");
                };
                match word {
                    "savepoint" => buffer.begin_savepoint(),
                    "release" => buffer.release_savepoint(),
                    "rollback" => buffer.roll_back_savepoint(),
                    _ => panic!("unknown step: {word}"),
                }
                None
            }
        }
    }

    async fn get(&mut self, store: &dyn Store, key: u64) -> Option<i64> {
        let id = task(store, key, None).id;
        let document = match &mut self.state {
            ClientState::Writing(transaction, buffer) => match buffer.get(id) {
                Some(written) => written.cloned(),
                None => transaction.get(id).await.expect("the read succeeds"),
            },
            ClientState::Reading(snapshot) => snapshot.get(id).await.expect("the read succeeds"),
            _ => panic!("a read needs a transaction or a view"),
        };
        document.map(|document| n(&document))
    }

    async fn put(&mut self, store: &dyn Store, key: u64, number: Option<i64>) {
        let old = self.get(store, key).await;
        let ClientState::Writing(_, buffer) = &mut self.state else {
            panic!("a write needs a transaction");
        };
        let document = |number: i64| task(store, key, Some(number));
        buffer.put(old.map(document), number.map(document));
    }

    async fn scan(&mut self, store: &dyn Store, range: &str) -> Vec<(i64, i64)> {
        let (index, interval) = by_number(store, range);
        let rows = match &mut self.state {
            ClientState::Writing(transaction, buffer) => {
                let limit = usize::MAX;
                buffer
                    .scan(&mut **transaction, index, &interval, Order::Asc, limit)
                    .await
            }
            ClientState::Reading(snapshot) => {
                snapshot
                    .scan(index, &interval, Order::Asc, usize::MAX)
                    .await
            }
            _ => panic!("a read needs a transaction or a view"),
        };
        let rows = rows.expect("the read succeeds");
        rows.iter()
            .map(|row| (which(&row.document), n(&row.document)))
            .collect()
    }

    async fn count(&mut self, store: &dyn Store, range: &str) -> usize {
        let (index, interval) = by_number(store, range);
        let count = match &mut self.state {
            ClientState::Writing(transaction, buffer) => {
                buffer
                    .count(&mut **transaction, index, &interval, usize::MAX)
                    .await
            }
            ClientState::Reading(snapshot) => snapshot.count(index, &interval, usize::MAX).await,
            _ => panic!("a read needs a transaction or a view"),
        };
        count.expect("the read succeeds")
    }
}

/// Returns the index over the numbers, and the interval of a range such as `10..20`.
fn by_number(store: &dyn Store, range: &str) -> (IndexRef, Interval) {
    let (from, to) = range.split_once("..").expect("a range is FROM..TO");
    let key = |number: &str| -> IndexKey {
        let mut key = KeyWriter::new();
        key.push(Some(&Value::Int64(number.parse().expect("a number"))));
        key.finish()
    };
    let interval = Interval {
        start: key(from).into_bytes(),
        end: Some(key(to).into_bytes()),
    };
    (index(store, "by_n"), interval)
}

fn print_documents(documents: impl Iterator<Item = (i64, i64)>) -> String {
    let documents: Vec<String> = documents
        .map(|(key, number)| format!("{key}={number}"))
        .collect();
    if documents.is_empty() {
        "none".to_owned()
    } else {
        documents.join(" ")
    }
}
