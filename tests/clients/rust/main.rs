//! The Rust client: values, subscriptions, read-your-writes, failures, and a restart.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::BufRead;
use std::time::{Duration, Instant};

use convex::{ConvexClient, FunctionResult, QuerySubscription, Value};
use futures::StreamExt;

type Failed = Box<dyn std::error::Error + Send + Sync>;
type Outcome = Result<(), Failed>;

macro_rules! args {
    ($($name:ident: $value:expr),*) => { BTreeMap::from([$((stringify!($name).to_owned(), Value::from($value))),*]) };
}

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(2).expect("the server's URL is an argument");
    let client = ConvexClient::new(&url).await.expect("it connects");
    let other = ConvexClient::new(&url).await.expect("it connects");
    let pair = || (client.clone(), other.clone());
    let all = [
        check("every value is returned unchanged", every_value(pair())).await,
        check("a subscription follows changes", subscription(pair())).await,
        check("after a mutation the next result has its writes", own_writes(pair())).await,
        check("actions, and many mutations at once", many(pair())).await,
        check("failures reach the client", failures(pair())).await,
        check("a failed query is live", failed_query(pair())).await,
        check("the admin key allows internal functions", admin(url.clone())).await,
        check("it reconnects after kill -9", restart(pair(), url)).await,
    ];
    std::process::exit(if all.iter().all(|well| *well) { 0 } else { 1 });
}

async fn check(name: &str, case: impl Future<Output = Outcome> + Send + 'static) -> bool {
    let started = Instant::now();
    // A separate task, so that a failed assertion fails only one case.
    let outcome = match tokio::time::timeout(Duration::from_secs(20), tokio::spawn(case)).await {
        Err(_) => Err("it took too long".to_owned()),
        Ok(Err(panic)) => Err(panic.to_string()),
        Ok(Ok(outcome)) => outcome.map_err(|error| error.to_string()),
    };
    let took = started.elapsed().as_millis();
    match &outcome {
        Ok(()) => println!("ok: {name} ({took} ms)"),
        Err(why) => println!("FAILED: {name} ({took} ms): {why}"),
    }
    outcome.is_ok()
}

fn value(result: FunctionResult) -> Value {
    match result {
        FunctionResult::Value(value) => value,
        other => panic!("it failed: {other:?}"),
    }
}

/// The results of a query. The client repeats the last one with each transition.
struct Results {
    subscription: QuerySubscription,
    last: Option<FunctionResult>,
}

impl Results {
    async fn of(client: &mut ConvexClient, path: &str, args: BTreeMap<String, Value>) -> Result<Results, Failed> {
        Ok(Results { subscription: client.subscribe(path, args).await?, last: None })
    }

    /// The next result that differs from the last.
    async fn next(&mut self) -> FunctionResult {
        loop {
            let result = self.subscription.next().await.expect("a subscription goes on");
            if self.last.as_ref() != Some(&result) {
                return self.last.insert(result).clone();
            }
        }
    }

    async fn value(&mut self) -> Value {
        value(self.next().await)
    }
}

async fn add(client: &mut ConvexClient, name: &str, by: i64) -> Result<Value, String> {
    let result = client.mutation("counters:add", args! { name: name, by: by }).await;
    result.map(value).map_err(|error| error.to_string())
}

async fn every_value((mut client, _): (ConvexClient, ConvexClient)) -> Outcome {
    let numbers = [0.0, -0.0, 1.0, -1.5, 1e21, 1e308, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let integers = [0, 1, -1, 5, 256, (1 << 53) + 1, i64::MAX, i64::MIN];
    let mut values = vec![Value::Null, true.into(), false.into(), "".into(), "é\u{fffd}😀\n\"\\".into()];
    values.extend(numbers.map(Value::from));
    values.extend(integers.map(Value::from));
    values.extend([Value::Bytes(vec![]), Value::Bytes(vec![0, 1, 255]), Value::Array(values.clone())]);
    values.push(Value::Object(BTreeMap::from([(String::new(), 1.0.into()), ("a b".to_owned(), 2.into())])));
    for kind in ["query", "mutation", "action"] {
        for sent in &values {
            let (path, args) = (format!("echo/{kind}:any"), args! { value: sent.clone() });
            let found = match kind {
                "query" => client.query(&path, args).await?,
                "mutation" => client.mutation(&path, args).await?,
                _ => client.action(&path, args).await?,
            };
            let found = value(found);
            // The text tells 0 from -0.
            assert_eq!((format!("{found:?}"), &found), (format!("{sent:?}"), sent), "{kind}");
        }
    }
    Ok(())
}

async fn subscription((mut client, mut other): (ConvexClient, ConvexClient)) -> Outcome {
    let mut count = Results::of(&mut client, "messages:count", args! { channel: "rust" }).await?;
    assert_eq!(count.value().await, Value::from(0.0));
    for n in 1..=10 {
        let writer = if n % 2 == 0 { &mut client } else { &mut other };
        value(writer.mutation("messages:send", args! { channel: "rust", body: "" }).await?);
        assert_eq!(count.value().await, Value::from(f64::from(n)));
    }
    drop(count);
    add(&mut other, "rust", 1).await?;
    let mut again = Results::of(&mut client, "messages:count", args! { channel: "rust" }).await?;
    assert_eq!(again.value().await, Value::from(10.0));
    Ok(())
}

async fn own_writes((mut client, _): (ConvexClient, ConvexClient)) -> Outcome {
    let mut counter = Results::of(&mut client, "counters:get", args! { name: "own" }).await?;
    assert_eq!(counter.value().await, Value::Null);
    for n in 1..=20 {
        assert_eq!(add(&mut client, "own", 1).await?, Value::from(n));
        assert_eq!(counter.value().await, Value::from(n));
    }
    Ok(())
}

async fn many((client, mut other): (ConvexClient, ConvexClient)) -> Outcome {
    let slow = tokio::spawn({
        let mut client = client.clone();
        async move { client.action("counters:slow", args! { ms: 300.0 }).await }
    });
    let adds = (0..100).map(|_| {
        let mut client = client.clone();
        async move { add(&mut client, "many", 1).await }
    });
    let mut values = futures::future::try_join_all(adds).await?;
    values.sort_by_key(|value| if let Value::Int64(n) = value { *n } else { 0 });
    assert_eq!(values, (1..=100).map(Value::from).collect::<Vec<_>>());
    assert_eq!(value(slow.await??), Value::from(300.0));
    assert_eq!(value(other.action("counters:addTwice", args! { name: "many" }).await?), Value::from(102));
    Ok(())
}

async fn failures((mut client, _): (ConvexClient, ConvexClient)) -> Outcome {
    for kind in ["query", "mutation", "action"] {
        for data in [Value::from(7), Value::Null, "text".into(), Value::Object(args! { code: 7 })] {
            let path = format!("fails/{kind}:application");
            let result = call(&mut client, kind, &path, args! { data: data.clone() }).await?;
            let FunctionResult::ConvexError(error) = result else { panic!("{path}: {result:?}") };
            assert_eq!(error.data, data);
        }
        for path in ["plain", "panics"].map(|way| format!("fails/{kind}:{way}")) {
            let result = call(&mut client, kind, &path, args! {}).await?;
            assert!(
                matches!(&result, FunctionResult::ErrorMessage(text) if text.contains("Server Error")),
                "{path}: {result:?}"
            );
        }
        for path in ["nowhere:nothing", "internal/secret:get"] {
            let result = call(&mut client, kind, path, args! {}).await?;
            let FunctionResult::ErrorMessage(text) = result else { panic!("{kind} {path}: {result:?}") };
            assert!(text.contains("Could not find public function"), "{kind} {path}: {text}");
        }
    }
    Ok(())
}

async fn call(
    client: &mut ConvexClient,
    kind: &str,
    path: &str,
    args: BTreeMap<String, Value>,
) -> Result<FunctionResult, Failed> {
    Ok(match kind {
        "query" => client.query(path, args).await?,
        "mutation" => client.mutation(path, args).await?,
        _ => client.action(path, args).await?,
    })
}

async fn failed_query((mut client, mut other): (ConvexClient, ConvexClient)) -> Outcome {
    let mut counter = Results::of(&mut client, "counters:notNegative", args! { name: "wavering" }).await?;
    assert_eq!(counter.value().await, Value::from(0));
    add(&mut other, "wavering", -1).await?;
    let failed = counter.next().await;
    assert!(matches!(&failed, FunctionResult::ConvexError(error) if error.data == Value::from(-1)), "{failed:?}");
    add(&mut other, "wavering", 1).await?;
    assert_eq!(counter.value().await, Value::from(0));
    Ok(())
}

async fn admin(url: String) -> Outcome {
    let mut admin = ConvexClient::new(&url).await?;
    admin.set_admin_auth(std::env::var("LENTIL_ADMIN_KEY")?, None).await;
    assert_eq!(value(admin.query("internal/secret:get", args! {}).await?), Value::from("a secret"));
    Ok(())
}

async fn restart((mut client, _): (ConvexClient, ConvexClient), url: String) -> Outcome {
    let mut counter = Results::of(&mut client, "counters:get", args! { name: "restarted" }).await?;
    assert_eq!(counter.value().await, Value::Null);
    add(&mut client, "restarted", 1).await?;
    assert_eq!(counter.value().await, Value::from(1));
    println!("@restart");
    tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().next()).await?;
    add(&mut ConvexClient::new(&url).await?, "restarted", 1).await?;
    assert_eq!(counter.value().await, Value::from(2));
    assert_eq!(add(&mut client, "restarted", 1).await?, Value::from(3));
    Ok(())
}
