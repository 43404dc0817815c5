use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value as Json};

use super::algorithm::Algorithm;
use super::error::AuthError;

/// Far above the length of real tokens. A longer one would cost time to parse.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// A parsed token. Its signature and its claims are not checked yet.
pub(super) struct Token<'t> {
    /// The algorithm that the header names.
    pub(super) algorithm: Algorithm,
    /// The id of the key that the header names.
    pub(super) key_id: Option<String>,
    pub(super) claims: Claims,
    /// The signed part of the text.
    pub(super) message: &'t str,
    /// The signature in base64url.
    pub(super) signature: &'t str,
}

/// The claims of a token. Times are seconds since 1970.
pub(super) struct Claims {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) audience: Vec<String>,
    pub(super) expires_s: f64,
    pub(super) not_before_s: Option<f64>,
    /// The claims that describe the user, without those that describe the token.
    pub(super) user: Map<String, Json>,
}

impl<'t> Token<'t> {
    /// Parses a compact JWS.
    ///
    /// # Errors
    /// The token is malformed, or `iss`, `sub` or `exp` is missing.
    pub(super) fn parse(token: &'t str) -> Result<Token<'t>, AuthError> {
        Token::parse_parts(token).map_err(AuthError::InvalidAuthHeader)
    }

    fn parse_parts(token: &'t str) -> Result<Token<'t>, &'static str> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err("it is longer than 64 KiB");
        }
        let not_three = "it does not consist of three parts with dots between";
        // The signature is over the encoded text (RFC 7515, section 5.2), so the text is kept.
        let (message, signature) = token.rsplit_once('.').ok_or(not_three)?;
        let (header, claims) = message.split_once('.').ok_or(not_three)?;
        if claims.contains('.') {
            return Err(not_three);
        }
        let mut header = object(header).ok_or("its header is not a JSON object in base64url")?;
        let claims = object(claims).ok_or("its claims are not a JSON object in base64url")?;
        if header.contains_key("crit") {
            return Err("its header requires extensions (`crit`), and this server has none");
        }
        let algorithm = header
            .get("alg")
            .and_then(Json::as_str)
            .and_then(Algorithm::named);
        let key_id = match header.remove("kid") {
            None => None,
            Some(Json::String(key_id)) => Some(key_id),
            Some(_) => return Err("its key id (`kid`) is not a string"),
        };
        Ok(Token {
            algorithm: algorithm.ok_or("its algorithm (`alg`) is not RS256, ES256 or EdDSA")?,
            key_id,
            claims: Claims::parse(claims)?,
            message,
            signature,
        })
    }
}

impl Claims {
    fn parse(mut claims: Map<String, Json>) -> Result<Claims, &'static str> {
        let mut string = |name| match claims.remove(name) {
            Some(Json::String(string)) if !string.is_empty() => Some(string),
            _ => None,
        };
        let issuer = string("iss").ok_or("its issuer (`iss`) is missing")?;
        let subject = string("sub").ok_or("its subject (`sub`) is missing")?;
        let audience = audience(claims.remove("aud"))
            .ok_or("its audience (`aud`) is neither a string nor an array of strings")?;
        let expires = claims.remove("exp").and_then(|time| time.as_f64());
        let not_before = claims.remove("nbf");
        // They differ between the tokens of one user, whose cached results must have one key.
        for token_claim in ["iat", "jti", "fva"] {
            claims.remove(token_claim);
        }
        Ok(Claims {
            issuer,
            subject,
            audience,
            expires_s: expires.ok_or("its expiry (`exp`) is missing")?,
            not_before_s: match not_before {
                None => None,
                Some(time) => Some(
                    time.as_f64()
                        .ok_or("its beginning (`nbf`) is not a number")?,
                ),
            },
            user: claims,
        })
    }
}

/// Decodes a part of a token.
fn object(part: &str) -> Option<Map<String, Json>> {
    let json = BASE64URL_NOPAD.decode(part.as_bytes()).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Reads `aud`, which is absent, a string, or an array of strings.
fn audience(claim: Option<Json>) -> Option<Vec<String>> {
    let elements = match claim {
        None => Vec::new(),
        Some(Json::Array(elements)) => elements,
        Some(single) => vec![single],
    };
    let mut audience = Vec::with_capacity(elements.len());
    for element in elements {
        let Json::String(element) = element else {
            return None;
        };
        audience.push(element);
    }
    Some(audience)
}
