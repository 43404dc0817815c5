use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value as Json};

use super::error::AuthError;
use super::key_set::Algorithm;

/// Far above what providers issue; parsing more would be work for whoever asks.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// A token taken apart. Nothing of it is believed yet.
pub(super) struct Token<'t> {
    /// What it says it is signed with.
    pub(super) algorithm: Algorithm,
    /// The name of the key that it says it is signed with, if it names one.
    pub(super) key_id: Option<String>,
    pub(super) claims: Claims,
    /// What is signed.
    pub(super) message: &'t str,
    /// In base64url.
    pub(super) signature: &'t str,
}

/// What a token claims. Times are seconds since 1970.
pub(super) struct Claims {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) audience: Vec<String>,
    pub(super) expires_s: f64,
    pub(super) not_before_s: Option<f64>,
    /// The claims that describe the user; those that describe the token are taken out.
    pub(super) user: Map<String, Json>,
}

impl<'t> Token<'t> {
    /// Takes a compact JWS apart.
    ///
    /// # Errors
    /// When it is none, or `iss`, `sub` or `exp` is missing.
    pub(super) fn parse(token: &'t str) -> Result<Token<'t>, AuthError> {
        Token::parts(token).map_err(AuthError::InvalidAuthHeader)
    }

    fn parts(token: &'t str) -> Result<Token<'t>, &'static str> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err("it is longer than 64 KiB");
        }
        let not_three = "it is not three parts with dots between";
        let (message, signature) = token.rsplit_once('.').ok_or(not_three)?;
        let (header, claims) = message.split_once('.').ok_or(not_three)?;
        if claims.contains('.') {
            return Err(not_three);
        }
        let mut header = object(header).ok_or("its header is no JSON object in base64url")?;
        let claims = object(claims).ok_or("its claims are no JSON object in base64url")?;
        if header.contains_key("crit") {
            return Err("its header has extensions (`crit`), and none is known here");
        }
        let algorithm = header
            .get("alg")
            .and_then(Json::as_str)
            .and_then(Algorithm::named);
        let key_id = match header.remove("kid") {
            None => None,
            Some(Json::String(key_id)) => Some(key_id),
            Some(_) => return Err("its key's name (`kid`) is no text"),
        };
        Ok(Token {
            algorithm: algorithm
                .ok_or("its algorithm (`alg`) is none of RS256, ES256 and EdDSA")?,
            key_id,
            claims: Claims::parse(claims)?,
            message,
            signature,
        })
    }
}

impl Claims {
    fn parse(mut claims: Map<String, Json>) -> Result<Claims, &'static str> {
        let mut text = |name| match claims.remove(name) {
            Some(Json::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let issuer = text("iss").ok_or("its issuer (`iss`) is missing")?;
        let subject = text("sub").ok_or("its subject (`sub`) is missing")?;
        let audience = audience(claims.remove("aud"))
            .ok_or("its audience (`aud`) is neither a text nor texts")?;
        let expires = claims.remove("exp").and_then(|time| time.as_f64());
        let not_before = claims.remove("nbf");
        for about_the_token in ["iat", "jti", "fva"] {
            claims.remove(about_the_token);
        }
        Ok(Claims {
            issuer,
            subject,
            audience,
            expires_s: expires.ok_or("its end (`exp`) is missing")?,
            not_before_s: match not_before {
                None => None,
                Some(time) => Some(time.as_f64().ok_or("its beginning (`nbf`) is no number")?),
            },
            user: claims,
        })
    }
}

fn object(part: &str) -> Option<Map<String, Json>> {
    let json = BASE64URL_NOPAD.decode(part.as_bytes()).ok()?;
    serde_json::from_slice(&json).ok()
}

fn audience(claim: Option<Json>) -> Option<Vec<String>> {
    let text = |json| {
        if let Json::String(text) = json {
            Some(text)
        } else {
            None
        }
    };
    match claim {
        None => Some(Vec::new()),
        Some(Json::Array(several)) => several.into_iter().map(text).collect(),
        Some(one) => Some(vec![text(one)?]),
    }
}
