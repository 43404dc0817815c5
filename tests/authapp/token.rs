//! Tokens as `@convex-dev/auth` makes them: signed with RS256, with no `kid`, and verified with the JWKS of a route.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use lentil::{ActionCtx, Error, Id, Request, Response, Result, StatusCode};

use crate::session::Session;
use crate::session::User;

/// Signs a token for this user and session.
pub(crate) async fn sign(
    ctx: &ActionCtx,
    user: &Id<User>,
    session: &Id<Session>,
) -> Result<String> {
    let key = private_key(&variable(ctx, "JWT_PRIVATE_KEY").await?)?;
    let issuer = variable(ctx, "CONVEX_SITE_URL").await?;
    let lasts: f64 = variable(ctx, "JWT_DURATION_S")
        .await?
        .parse()
        .map_err(wrong)?;
    let issued = (ctx.now() / 1e3).floor();
    let claims = format!(
        r#"{{"sub":"{user}|{session}","iat":{issued},"iss":"{issuer}","aud":"convex","exp":{}}}"#,
        issued + lasts
    );
    let header = BASE64URL_NOPAD.encode(br#"{"alg":"RS256"}"#);
    let message = format!("{header}.{}", BASE64URL_NOPAD.encode(claims.as_bytes()));
    let mut signature = vec![0; key.public_modulus_len()];
    let random = SystemRandom::new();
    key.sign(
        &RSA_PKCS1_SHA256,
        &random,
        message.as_bytes(),
        &mut signature,
    )
    .map_err(wrong)?;
    Ok(format!("{message}.{}", BASE64URL_NOPAD.encode(&signature)))
}

/// `GET /.well-known/openid-configuration`
pub(crate) async fn configuration(ctx: &ActionCtx, _: Request) -> Result<Response> {
    let issuer = variable(ctx, "CONVEX_SITE_URL").await?;
    let json = format!(
        r#"{{"issuer":"{issuer}","jwks_uri":"{issuer}/.well-known/jwks.json","authorization_endpoint":"{issuer}/oauth/authorize"}}"#
    );
    Ok(as_json(json))
}

/// `GET /.well-known/jwks.json`
pub(crate) async fn keys(ctx: &ActionCtx, _: Request) -> Result<Response> {
    Ok(as_json(variable(ctx, "JWKS").await?))
}

fn as_json(json: String) -> Response {
    Response::with_type(StatusCode::OK, "application/json", json)
}

async fn variable(ctx: &ActionCtx, name: &str) -> Result<String> {
    let value = ctx.env(name).await?;
    value.ok_or_else(|| Error::msg(format!("the variable `{name}` is not set")))
}

/// Reads a PKCS #8 key in PEM, whose line ends may be spaces.
fn private_key(pem: &str) -> Result<KeyPair> {
    let base64: String = pem
        .replace("-----BEGIN PRIVATE KEY-----", "")
        .replace("-----END PRIVATE KEY-----", "")
        .split_whitespace()
        .collect();
    let der = BASE64.decode(base64.as_bytes()).map_err(wrong)?;
    KeyPair::from_pkcs8(&der).map_err(wrong)
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::msg(error.to_string())
}
