//! A chat in one file: two tables, a two-field index, three functions, two routes, and their tests.
//!
//! Run it with `cargo run --bin chat`, and then
//! `curl http://127.0.0.1:3210/messages -d '{"channel":"general","author":"ada","body":"hello"}'` and
//! `curl 'http://127.0.0.1:3210/messages?channel=general'`.

use std::process::ExitCode;

use lentil::{
    ActionCtx, Args, Backend, Doc, Document, Functions, HttpRouter, Id, Method, MutationCtx,
    Object, Order, QueryCtx, Request, Response, Result, Schema, StatusCode,
};

/// A place to talk in.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("channels")]
#[index(by_name(name))]
struct Channel {
    name: String,
    messages: f64,
}

// [table]
/// Something said in a channel.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("messages")]
#[index(by_channel_and_author(channel, author))]
struct Message {
    channel: Id<Channel>,
    author: String,
    body: String,
}

fn schema() -> Schema {
    Schema::new().table::<Channel>().table::<Message>()
}
// [end]

// [mutation]
#[derive(Args, Clone)]
struct Say {
    channel: String,
    author: String,
    body: String,
}

/// Says something, in a new channel if there is none of this name. Returns how many messages the channel has.
async fn say(ctx: &mut MutationCtx, args: Say) -> Result<f64> {
    let found = ctx
        .db
        .query(Channel::BY_NAME.eq(&args.channel))
        .unique()
        .await?;
    let (channel, before) = match found {
        Some(channel) => (channel.id, channel.messages),
        None => (
            ctx.db
                .insert(Channel {
                    name: args.channel,
                    messages: 0.0,
                })
                .await?,
            0.0,
        ),
    };
    ctx.db
        .insert(Message {
            channel,
            author: args.author,
            body: args.body,
        })
        .await?;
    ctx.db
        .patch(&channel, Channel::patch().messages(before + 1.0))
        .await?;
    Ok(before + 1.0)
}
// [end]

#[derive(Args, Clone)]
struct List {
    channel: String,
    author: Option<String>,
}

/// The latest hundred messages of a channel, of one author if one is given; the newest first without one.
async fn list(ctx: &mut QueryCtx, args: List) -> Result<Vec<Doc<Message>>> {
    let Some(channel) = ctx
        .db
        .query(Channel::BY_NAME.eq(args.channel))
        .unique()
        .await?
    else {
        return Ok(Vec::new());
    };
    let in_channel = Message::BY_CHANNEL_AND_AUTHOR.eq(channel.id);
    match args.author {
        Some(author) => {
            ctx.db
                .query(in_channel.eq(author))
                .order(Order::Desc)
                .take(100)
                .await
        }
        None => {
            let mut messages = ctx.db.query(in_channel).collect().await?;
            messages.sort_by(|a, b| b.creation_time.total_cmp(&a.creation_time));
            messages.truncate(100);
            Ok(messages)
        }
    }
}

// [functions]
fn functions() -> Functions {
    Functions::in_module("chat")
        .mutation("say", say)
        .query("list", list)
}
// [end]

async fn get_messages(ctx: &ActionCtx, request: Request) -> Result<Response> {
    let channel = request
        .query("channel")
        .unwrap_or_else(|| "general".to_owned());
    let messages = ctx
        .run_query(
            list,
            List {
                channel,
                author: request.query("author"),
            },
        )
        .await?;
    Ok(Response::json(StatusCode::OK, messages))
}

// [route]
async fn post_message(ctx: &ActionCtx, request: Request) -> Result<Response> {
    let said: Say = request.args().await?;
    let messages = ctx
        .run_mutation(say, said)
        .await
        .map_err(|error| error.bad_request())?;
    Ok(Response::json(
        StatusCode::OK,
        Object::from([("messages", messages)]),
    ))
}

fn router() -> HttpRouter {
    HttpRouter::new()
        .route(Method::POST, "/messages", post_message)
        .route(Method::GET, "/messages", get_messages)
}
// [end]

fn main() -> ExitCode {
    Backend::new(schema())
        .functions(functions())
        .http(router())
        .example(r#"curl {url}/messages -d '{"channel":"general","author":"ada","body":"hello"}'"#)
        .main()
}

#[cfg(test)]
mod tests {
    use lentil_testing::TestBackend;

    use super::*;

    fn said(author: &str, body: &str) -> Say {
        Say {
            channel: "general".into(),
            author: author.into(),
            body: body.into(),
        }
    }

    #[tokio::test]
    async fn the_newest_message_comes_first() {
        let t = TestBackend::new(schema());
        for body in ["one", "two", "three"] {
            t.mutation(async |ctx| say(ctx, said("ada", body)).await)
                .await
                .unwrap();
        }
        let args = List {
            channel: "general".into(),
            author: None,
        };
        let messages = t.query(async |ctx| list(ctx, args).await).await.unwrap();
        assert_eq!(
            messages
                .iter()
                .map(|message| &*message.body)
                .collect::<Vec<_>>(),
            ["three", "two", "one"]
        );
    }

    // [test]
    #[tokio::test]
    async fn an_authors_messages_come_by_the_index() {
        let t = TestBackend::new(schema());
        t.mutation(async |ctx| say(ctx, said("ada", "hello")).await)
            .await
            .unwrap();
        t.mutation(async |ctx| say(ctx, said("bob", "hi")).await)
            .await
            .unwrap();
        let args = List {
            channel: "general".into(),
            author: Some("bob".into()),
        };
        let messages = t.query(async |ctx| list(ctx, args).await).await.unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].body, "hi");
    }
    // [end]

    #[tokio::test]
    async fn a_message_and_its_count_are_one_transaction() {
        let t = TestBackend::new(schema());
        let failed = t.mutation(async |ctx| {
            say(ctx, said("ada", "hello")).await?;
            Err::<(), _>(lentil::Error::msg("changed my mind"))
        });
        assert!(failed.await.is_err());
        assert_eq!(t.documents::<Channel>().await.unwrap(), []);
        assert_eq!(t.documents::<Message>().await.unwrap(), []);
    }

    #[tokio::test]
    async fn the_routes_answer_what_the_functions_say() {
        let t = TestBackend::new(schema())
            .functions(functions())
            .http(router());
        let body = r#"{"channel":"general","author":"ada","body":"hello"}"#;
        let request = http_request("POST", "/messages", body);
        assert_eq!(t.fetch(request).await.text(), r#"{"messages":1}"#);
        let listed = t
            .fetch(http_request("GET", "/messages?channel=general", ""))
            .await
            .json();
        assert_eq!(listed.as_array().unwrap().len(), 1);
    }

    fn http_request(
        method: &str,
        uri: &str,
        body: &'static str,
    ) -> lentil::HttpRequest<&'static str> {
        lentil::HttpRequest::builder()
            .method(method)
            .uri(uri)
            .body(body)
            .unwrap()
    }
}
