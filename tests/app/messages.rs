//! `messages`: lists, pages and writes over one index.

use lentil::{
    Args, Doc, Document, Functions, Id, MutationCtx, Order, PaginationOptions, PaginationResult,
    QueryCtx, Result,
};

/// A message of a channel. `n` counts from 0 in each channel.
#[derive(Document, Clone)]
#[table("messages")]
#[index(by_channel(channel))]
pub(crate) struct Message {
    channel: String,
    body: String,
    author: Option<String>,
    n: f64,
}

#[derive(Args)]
struct InChannel {
    channel: String,
}

#[derive(Args)]
struct Page {
    channel: String,
    pagination_opts: PaginationOptions,
}

#[derive(Args)]
struct Send {
    channel: String,
    body: String,
}

#[derive(Args)]
struct SendMany {
    channel: String,
    count: f64,
}

/// Returns the messages of a channel, the newest last.
async fn list(ctx: &mut QueryCtx, args: InChannel) -> Result<Vec<Doc<Message>>> {
    let messages = ctx
        .db
        .query(Message::BY_CHANNEL.eq(args.channel))
        .collect()
        .await?;
    ctx.log.log(format!("'listed' {}", messages.len()));
    Ok(messages)
}

async fn page(ctx: &mut QueryCtx, args: Page) -> Result<PaginationResult<Doc<Message>>> {
    ctx.db
        .query(Message::BY_CHANNEL.eq(args.channel))
        .paginate(args.pagination_opts)
        .await
}

/// Returns a page of every tenth message.
async fn tenths(ctx: &mut QueryCtx, args: Page) -> Result<PaginationResult<Doc<Message>>> {
    ctx.db
        .query(Message::BY_CHANNEL.eq(args.channel))
        .filter(|message| message.n % 10.0 == 0.0)
        .paginate(args.pagination_opts)
        .await
}

async fn count(ctx: &mut QueryCtx, args: InChannel) -> Result<f64> {
    Ok(ctx
        .db
        .query(Message::BY_CHANNEL.eq(args.channel))
        .collect()
        .await?
        .len() as f64)
}

async fn send(ctx: &mut MutationCtx, args: Send) -> Result<Id<Message>> {
    let n = next_number(ctx, &args.channel).await?;
    ctx.log.info(format!("'sent' {n}"));
    ctx.db
        .insert(Message {
            channel: args.channel,
            body: args.body,
            author: None,
            n,
        })
        .await
}

/// Sends messages `#n` and returns the number of messages in the channel.
async fn send_many(ctx: &mut MutationCtx, args: SendMany) -> Result<f64> {
    let mut n = next_number(ctx, &args.channel).await?;
    for _ in 0..args.count as usize {
        let (channel, author) = (args.channel.clone(), Some("many".to_owned()));
        ctx.db
            .insert(Message {
                channel,
                body: format!("#{n}"),
                author,
                n,
            })
            .await?;
        n += 1.0;
    }
    Ok(n)
}

/// Deletes the messages of a channel and returns their number.
async fn clear(ctx: &mut MutationCtx, args: InChannel) -> Result<f64> {
    let messages = ctx
        .db
        .query(Message::BY_CHANNEL.eq(args.channel))
        .collect()
        .await?;
    for message in &messages {
        ctx.db.delete(&message.id).await?;
    }
    Ok(messages.len() as f64)
}

async fn next_number(ctx: &mut MutationCtx, channel: &str) -> Result<f64> {
    let last = ctx
        .db
        .query(Message::BY_CHANNEL.eq(channel))
        .order(Order::Desc)
        .first()
        .await?;
    Ok(last.map_or(0.0, |last| last.n + 1.0))
}

pub(crate) fn functions() -> Functions {
    Functions::in_module("messages")
        .query("list", list)
        .query("page", page)
        .query("tenths", tenths)
        .query("count", count)
        .mutation("send", send)
        .mutation("sendMany", send_many)
        .mutation("clear", clear)
}
