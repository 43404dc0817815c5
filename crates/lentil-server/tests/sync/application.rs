use std::net::SocketAddr;
use std::sync::Arc;

use lentil::{
    ActionCtx, Args, Document, Error, Functions, HttpRouter, Method, MutationCtx,
    PaginationOptions, QueryCtx, Request, Response, Result, Schema, Secret, StatusCode, Value,
};
use lentil_server::{AuthConfig, Drained, Listeners, ServerOptions, serve};
use lentil_testing::TestBackend;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::keys::{EDDSA, jwks};

#[derive(Document, Clone)]
#[table("lines")]
#[index(by_list(list))]
struct Line {
    list: String,
    text: String,
}

#[derive(Args, Clone)]
struct Push {
    list: String,
    text: String,
}

#[derive(Args, Clone)]
struct Of {
    list: String,
}

#[derive(Args, Clone)]
struct Data {
    data: Value,
}

#[derive(Args, Clone)]
struct Page {
    list: String,
    pagination_opts: PaginationOptions,
}

async fn all(ctx: &mut QueryCtx, args: Of) -> Result<Vec<String>> {
    let lines = ctx.db.query(Line::BY_LIST.eq(args.list)).collect().await?;
    Ok(lines.into_iter().map(|line| line.fields.text).collect())
}

/// Returns the texts of a page. The journal records its end.
async fn page(ctx: &mut QueryCtx, args: Page) -> Result<Vec<String>> {
    let page = ctx
        .db
        .query(Line::BY_LIST.eq(args.list))
        .paginate(args.pagination_opts)
        .await?;
    Ok(page.page.into_iter().map(|line| line.fields.text).collect())
}

async fn count(ctx: &mut QueryCtx, args: Of) -> Result<f64> {
    Ok(all(ctx, args).await?.len() as f64)
}

async fn is_empty(ctx: &mut QueryCtx, args: Of) -> Result<bool> {
    Ok(count(ctx, args).await? == 0.0)
}

async fn must_be_empty(ctx: &mut QueryCtx, args: Of) -> Result<()> {
    match count(ctx, args).await? {
        0.0 => Ok(()),
        count => Err(Error::application(count)),
    }
}

/// Deletes a list.
async fn clear(ctx: &mut MutationCtx, args: Of) -> Result<()> {
    let lines = ctx.db.query(Line::BY_LIST.eq(args.list)).collect().await?;
    for line in lines {
        ctx.db.delete(&line.id).await?;
    }
    Ok(())
}

async fn push(ctx: &mut MutationCtx, args: Push) -> Result<f64> {
    ctx.db
        .insert(Line {
            list: args.list.clone(),
            text: args.text,
        })
        .await?;
    Ok(ctx
        .db
        .query(Line::BY_LIST.eq(args.list))
        .collect()
        .await?
        .len() as f64)
}

async fn fail(_ctx: &mut MutationCtx, args: Data) -> Result<()> {
    Err(Error::application(args.data))
}

async fn break_down(_ctx: &mut MutationCtx, (): ()) -> Result<()> {
    Err(Error::msg("a secret of ours"))
}

async fn shout(ctx: &ActionCtx, args: Push) -> Result<String> {
    let text = args.text.to_uppercase();
    ctx.run_mutation(
        push,
        Push {
            list: args.list,
            text: text.clone(),
        },
    )
    .await?;
    Ok(text)
}

async fn me(ctx: &mut QueryCtx, (): ()) -> Result<Option<String>> {
    Ok(ctx
        .auth
        .user_identity()
        .map(|user| user.subject().to_owned()))
}

/// Responds with the name of the signed-in user.
async fn get_me(ctx: &ActionCtx, _request: Request) -> Result<Response> {
    let name = ctx
        .auth
        .user_identity()
        .map_or("nobody", |user| user.subject());
    Ok(Response::text(StatusCode::OK, name))
}

async fn long(_ctx: &mut QueryCtx, (): ()) -> Result<String> {
    Ok("x".repeat(6_000_000))
}

fn functions() -> Functions {
    let lists = Functions::in_module("lists")
        .query("all", all)
        .query("page", page)
        .query("count", count)
        .query("isEmpty", is_empty)
        .query("mustBeEmpty", must_be_empty)
        .mutation("push", push)
        .mutation("clear", clear)
        .mutation("fail", fail)
        .mutation("breakDown", break_down)
        .action("shout", shout)
        .query("long", long)
        .internal_query("hidden", count);
    lists.with(Functions::in_module("me").query("name", me))
}

fn router() -> HttpRouter {
    HttpRouter::new().route(Method::GET, "/me", get_me)
}

/// The issuer that the server trusts. Its key [`EDDSA`] has the id `k`.
pub(crate) const ISSUER: &str = "https://issuer.test";
pub(crate) const ADMIN_KEY: &str = "test|key";

/// A server on a free port.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) backend: Arc<TestBackend>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Drained>,
}

impl Running {
    pub(crate) async fn start() -> Running {
        let backend = Arc::new(
            TestBackend::new(Schema::new().table::<Line>())
                .functions(functions())
                .http(router())
                .dev(false),
        );
        let main = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = main.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let provider = json!({
            "type": "customJwt", "issuer": ISSUER, "algorithm": "EdDSA", "jwks": jwks(&[EDDSA.jwk("k")]),
        });
        let options = ServerOptions {
            admin_key: Some(Secret::new(ADMIN_KEY)),
            auth: AuthConfig::parse(&json!({ "providers": [provider] }).to_string()).unwrap(),
            trusted_proxies: "127.0.0.0/8".parse().unwrap(),
            ..ServerOptions::default()
        };
        let runtime = backend.runtime().await.clone();
        let served = tokio::spawn(serve(
            Listeners { main, site: None },
            runtime,
            options,
            shutdown,
        ));
        Running {
            address,
            backend,
            stop: Some(stop),
            served,
        }
    }

    /// Returns a user's token that is valid for `seconds`.
    pub(crate) async fn token(&self, subject: &str, seconds: f64) -> String {
        let expires = self.backend.runtime().await.now_ms() / 1e3 + seconds;
        EDDSA.token(
            "k",
            &json!({"iss": ISSUER, "sub": subject, "iat": 0, "exp": expires.floor()}),
        )
    }

    /// Begins the shutdown, as SIGTERM does.
    pub(crate) fn drain(&mut self) {
        self.stop.take().expect("it stops once").send(()).unwrap();
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn end(mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended before.
            let _ = stop.send(());
        }
        self.served.await.unwrap();
        let live = self.backend.runtime().await.live_queries();
        assert!(
            live <= 2,
            "clients that are gone leave no live queries: {live}"
        );
    }
}
