use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations,
    PublicKeyUse,
};
use serde_json::Value as Json;

use super::token::Token;

/// What tokens may be signed with: each is of another kind of key, so that a key has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSA (PKCS #1 v1.5) with SHA-256; keys have 2048 bits at least.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The algorithm of this name in headers, keys and the configuration.
    pub(super) fn named(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "ES256" => Some(Algorithm::Es256),
            "EdDSA" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }

    fn of(key: &Jwk) -> Option<Algorithm> {
        match &key.algorithm {
            AlgorithmParameters::RSA(_) => Some(Algorithm::Rs256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Some(Algorithm::Es256)
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Some(Algorithm::EdDsa)
            }
            _ => None,
        }
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
        match algorithm {
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

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
    /// Reads a JWKS, `{"keys": […]}`. Keys that cannot verify tokens are left out.
    ///
    /// # Errors
    /// When it is no JWKS.
    pub(super) fn parse(jwks: &Json) -> Result<KeySet, &'static str> {
        let keys = jwks
            .get("keys")
            .and_then(Json::as_array)
            .ok_or("no JWKS: {\"keys\": […]}")?;
        Ok(KeySet(keys.iter().filter_map(Key::parse).collect()))
    }

    /// Returns whether there is a key for tokens of these algorithms.
    pub(super) fn can_verify(&self, accepts: impl Fn(Algorithm) -> bool) -> bool {
        self.0.iter().any(|key| accepts(key.algorithm))
    }

    /// Returns whether there is a key of this name.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// Checks that the key which the token names made its signature. A token that names no key is checked with the
    /// only key for its algorithm.
    ///
    /// # Errors
    /// The reason, if no key or more than one fits, or the signature is wrong.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<(), &'static str> {
        let is_verified = match &token.key_id {
            Some(id) => self
                .named(id, token.algorithm)?
                .any(|key| key.made_signature_of(token)),
            None => self.only(token.algorithm)?.made_signature_of(token),
        };
        if is_verified {
            Ok(())
        } else {
            Err("its signature is wrong")
        }
    }

    /// The keys of this name and algorithm: names need not be unique among keys of different kinds.
    fn named(
        &self,
        id: &str,
        algorithm: Algorithm,
    ) -> Result<impl Iterator<Item = &Key>, &'static str> {
        if !self.knows(id) {
            return Err("its provider has no key of the name in its header (`kid`)");
        }
        let is_meant =
            move |key: &&Key| key.id.as_deref() == Some(id) && key.algorithm == algorithm;
        let mut keys = self.0.iter().filter(is_meant).peekable();
        match keys.peek() {
            Some(_) => Ok(keys),
            None => Err("its algorithm (`alg`) is not the one of the key that it names"),
        }
    }

    fn only(&self, algorithm: Algorithm) -> Result<&Key, &'static str> {
        let mut keys = self.0.iter().filter(|key| key.algorithm == algorithm);
        match (keys.next(), keys.next()) {
            (Some(key), None) => Ok(key),
            (None, _) => Err("its provider has no key for its algorithm (`alg`)"),
            (Some(_), Some(_)) => {
                Err("its header names no key (`kid`), and several keys of its provider fit")
            }
        }
    }
}

impl Key {
    fn parse(jwk: &Json) -> Option<Key> {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).ok()?;
        let algorithm = Algorithm::of(&jwk)?;
        if !verifies(&jwk.common, algorithm) {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Key {
            id: jwk.common.key_id,
            algorithm,
            key,
        })
    }

    fn made_signature_of(&self, token: &Token<'_>) -> bool {
        let (signature, message) = (token.signature, token.message.as_bytes());
        jsonwebtoken::crypto::verify(signature, message, &self.key, self.algorithm.into())
            .unwrap_or(false)
    }
}

/// Returns whether a key's own fields allow it to verify signatures of this algorithm.
fn verifies(key: &CommonParameters, algorithm: Algorithm) -> bool {
    let is_for_signatures = key
        .public_key_use
        .as_ref()
        .is_none_or(|its_use| *its_use == PublicKeyUse::Signature);
    let may_verify = key
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let its_own = KeyAlgorithm::from(jsonwebtoken::Algorithm::from(algorithm));
    let is_for_algorithm = key.key_algorithm.is_none_or(|named| named == its_own);
    is_for_signatures && may_verify && is_for_algorithm
}
