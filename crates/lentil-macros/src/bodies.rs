use proc_macro2::TokenStream;
use quote::quote;
use syn::Ident;

use crate::fields;

/// The bodies of the methods of `ValueType`, for a struct, an enum or a variant.
pub(crate) struct Bodies {
    /// `true`, or an error if one of the types inside contains the type itself; see
    /// [`fields::no_cycle`].
    pub(crate) no_cycle: TokenStream,
    pub(crate) validator: TokenStream,
    pub(crate) into: TokenStream,
    pub(crate) from: TokenStream,
}

/// Returns the implementation of `ValueType` with these bodies.
pub(crate) fn implementation(name: &Ident, bodies: Bodies) -> TokenStream {
    let Bodies {
        no_cycle,
        validator,
        into,
        from,
    } = bodies;
    let constant = fields::no_cycle_constant(name, &no_cycle);
    quote! {
        // Evaluates the constant even if nothing uses the type.
        const _: bool = <#name as ::lentil::__derive::ValueType>::DOES_NOT_CONTAIN_ITSELF;

        impl ::lentil::__derive::ValueType for #name {
            #constant

            fn validator() -> ::lentil::__derive::Validator {
                #validator
            }

            fn into_value(self) -> ::lentil::__derive::Value {
                #into
            }

            fn from_value(
                value: ::lentil::__derive::Value,
            ) -> ::core::result::Result<Self, ::lentil::__derive::DecodeError> {
                #from
            }
        }

        impl ::core::convert::From<#name> for ::lentil::__derive::Value {
            fn from(typed: #name) -> Self {
                ::lentil::__derive::ValueType::into_value(typed)
            }
        }
    }
}
