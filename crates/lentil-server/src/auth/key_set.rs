use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{CommonParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use serde_json::Value as Json;

use super::algorithm::Algorithm;
use super::token::Token;

/// A provider's public keys.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl KeySet {
    /// Parses a JWKS, `{"keys": […]}`. Keys that cannot verify tokens are skipped.
    ///
    /// # Errors
    /// The value is not a JWKS.
    pub(super) fn parse(jwks: &Json) -> Result<KeySet, &'static str> {
        let keys = jwks
            .get("keys")
            .and_then(Json::as_array)
            .ok_or("not a JWKS: {\"keys\": […]}")?;
        // Providers also publish keys for encryption, and for algorithms that this server does not
        // have.
        Ok(KeySet(keys.iter().filter_map(Key::parse).collect()))
    }

    /// Returns whether a key has an accepted algorithm.
    pub(super) fn can_verify(&self, accepts: impl Fn(Algorithm) -> bool) -> bool {
        self.0.iter().any(|key| accepts(key.algorithm))
    }

    /// Returns whether a key has this id.
    pub(super) fn has_id(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// Verifies the token's signature with the key that the token names. A token without a key id
    /// is verified with the only key of its algorithm.
    ///
    /// # Errors
    /// The reason why the token is refused.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<(), &'static str> {
        let is_verified = match &token.key_id {
            Some(id) => self
                .with_id(id, token.algorithm)?
                .any(|key| key.verifies(token)),
            None => self.only_key(token.algorithm)?.verifies(token),
        };
        if is_verified {
            Ok(())
        } else {
            Err("its signature is wrong")
        }
    }

    /// Returns the keys with this id and algorithm. Keys of different types may share an id.
    fn with_id(
        &self,
        id: &str,
        algorithm: Algorithm,
    ) -> Result<impl Iterator<Item = &Key>, &'static str> {
        if !self.has_id(id) {
            return Err("its provider has no key with the id in its header (`kid`)");
        }
        let mut keys = self
            .0
            .iter()
            .filter(move |key| key.id.as_deref() == Some(id) && key.algorithm == algorithm)
            .peekable();
        if keys.peek().is_none() {
            return Err("its algorithm (`alg`) is not that of the key that it names");
        }
        Ok(keys)
    }

    /// Returns the only key with this algorithm.
    fn only_key(&self, algorithm: Algorithm) -> Result<&Key, &'static str> {
        let mut keys = self.0.iter().filter(|key| key.algorithm == algorithm);
        match (keys.next(), keys.next()) {
            (Some(key), None) => Ok(key),
            (None, _) => Err("its provider has no key for its algorithm (`alg`)"),
            (Some(_), Some(_)) => Err(
                "its header has no key id (`kid`), and its provider has several keys for its algorithm",
            ),
        }
    }
}

impl Key {
    fn parse(jwk: &Json) -> Option<Key> {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).ok()?;
        let algorithm = Algorithm::of_key(&jwk)?;
        if !may_verify(&jwk.common, algorithm) {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Key {
            id: jwk.common.key_id,
            algorithm,
            key,
        })
    }

    /// Returns whether this key made the token's signature.
    fn verifies(&self, token: &Token<'_>) -> bool {
        let message = token.message.as_bytes();
        let algorithm = self.algorithm.into();
        // An error means that the signature is malformed, and is refused like a wrong one.
        jsonwebtoken::crypto::verify(token.signature, message, &self.key, algorithm)
            .unwrap_or(false)
    }
}

/// Returns whether the fields `use`, `key_ops` and `alg` of a key, if present, allow it to verify
/// signatures of this algorithm.
fn may_verify(key: &CommonParameters, algorithm: Algorithm) -> bool {
    let allows_signatures = key
        .public_key_use
        .as_ref()
        .is_none_or(|key_use| *key_use == PublicKeyUse::Signature);
    let allows_verification = key
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let expected = KeyAlgorithm::from(jsonwebtoken::Algorithm::from(algorithm));
    let allows_algorithm = key.key_algorithm.is_none_or(|named| named == expected);
    allows_signatures && allows_verification && allows_algorithm
}
