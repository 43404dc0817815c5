//! Keys for the tests, and tokens signed with them.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value as Json, json};

/// A key pair of the algorithm in its name.
pub(crate) enum Signer {
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

pub(crate) static RS256: LazyLock<Signer> =
    LazyLock::new(|| Signer::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
pub(crate) static ES256: LazyLock<Signer> = LazyLock::new(Signer::es256);
pub(crate) static EDDSA: LazyLock<Signer> =
    LazyLock::new(|| Signer::EdDsa(Ed25519KeyPair::generate().unwrap()));

impl Signer {
    /// Another key, for example one that no provider has published.
    pub(crate) fn es256() -> Signer {
        Signer::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Signer::Rs256(_) => "RS256",
            Signer::Es256(_) => "ES256",
            Signer::EdDsa(_) => "EdDSA",
        }
    }

    pub(crate) fn jwk(&self, kid: &str) -> Json {
        match self {
            Signer::Rs256(pair) => {
                let key = pair.public_key();
                let n = base64(key.modulus().big_endian_without_leading_zero());
                let e = base64(key.exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e})
            }
            Signer::Es256(pair) => {
                // An uncompressed point: a marker byte and two coordinates.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": base64(x), "y": base64(y)})
            }
            Signer::EdDsa(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64(pair.public_key().as_ref())})
            }
        }
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Signer::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .unwrap();
                signature
            }
            Signer::Es256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec(),
            Signer::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// Returns a token whose header names this algorithm and this key.
    pub(crate) fn token(&self, kid: &str, claims: &Json) -> String {
        self.token_with(
            &json!({"alg": self.algorithm(), "kid": kid, "typ": "JWT"}),
            claims,
        )
    }

    /// Returns a token with any header.
    pub(crate) fn token_with(&self, header: &Json, claims: &Json) -> String {
        let message = unsigned(header, claims);
        let signature = base64(&self.signature(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// Returns the public key in the form that a confused verifier would use as an HMAC secret.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        match self {
            Signer::Rs256(pair) => {
                let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
                    pair.public_key().as_der().unwrap();
                der.as_ref().to_vec()
            }
            Signer::Es256(pair) => pair.public_key().as_ref().to_vec(),
            Signer::EdDsa(pair) => pair.public_key().as_ref().to_vec(),
        }
    }
}

/// Returns a token signed with HS256 and this secret.
pub(crate) fn hs256(secret: &[u8], header: &Json, claims: &Json) -> String {
    let message = unsigned(header, claims);
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret),
        message.as_bytes(),
    );
    format!("{message}.{}", base64(tag.as_ref()))
}

pub(crate) fn unsigned(header: &Json, claims: &Json) -> String {
    format!(
        "{}.{}",
        base64(header.to_string().as_bytes()),
        base64(claims.to_string().as_bytes())
    )
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

pub(crate) fn jwks(keys: &[Json]) -> Json {
    json!({ "keys": keys })
}
