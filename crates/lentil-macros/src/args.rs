use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Result};

use crate::attributes::{misplaced, reject_generics};
use crate::fields;
use crate::misuse::{Derive, Misuse};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    reject_generics(input, Derive::Args)?;
    misplaced(&input.attrs, "rename", "above a field, not above the type")?;
    let Data::Struct(data) = &input.data else {
        return Err(Misuse::NoStruct {
            derive: Derive::Args,
            each: "argument",
        }
        .at(&input.ident));
    };
    let fields = fields::named(&data.fields, &input.ident, Derive::Args)?;
    let name = &input.ident;
    let validators = fields::validators(&fields);
    let into = fields::into_object(&fields, &quote!(self.), None);
    let from = fields::from_object(&fields, &quote!(Self));
    Ok(quote! {
        impl ::lentil::__derive::Args for #name {
            fn validator() -> &'static ::lentil::__derive::ObjectValidator {
                // Built once: every call validates its arguments with it.
                static VALIDATOR: ::std::sync::LazyLock<::lentil::__derive::ObjectValidator> =
                    ::std::sync::LazyLock::new(|| ::lentil::__derive::ObjectValidator::new(#validators));
                &VALIDATOR
            }

            fn into_object(self) -> ::lentil::__derive::Object {
                #into
            }

            fn from_object(
                mut object: ::lentil::__derive::Object,
            ) -> ::core::result::Result<Self, ::lentil::__derive::DecodeError> {
                #from
            }
        }

        impl ::lentil::__derive::IntoArgs<#name> for #name {
            const IS_TYPED: bool = true;

            fn into_args(
                self,
            ) -> ::core::result::Result<::lentil::__derive::Object, ::lentil::__derive::DecodeError> {
                ::core::result::Result::Ok(::lentil::__derive::Args::into_object(self))
            }
        }
    })
}
