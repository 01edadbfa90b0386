//! The calls we make: their versions and the shapes of their answers.
//!
//! Versions are chosen so that brokers from 2.4 (2.7 for SCRAM users, 2.8 for `DescribeConfigs`) to 4.x have them:
//! Kafka 4.0 dropped old versions (KIP-896), none of these. A call that needs no flexible version
//! keeps to the older, simpler encoding.

use super::shape::Shape::{self, Array, Bytes, CompactArray, CompactStr, Fixed, Str, Tagged};
use kafka_protocol::messages as wire;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

/// A request with its answer. (The crate's own trait asks for the broker's half as well.)
pub(super) trait Call: Encodable + HeaderVersion + Sync {
    const KEY: wire::ApiKey;
    /// Its name in the protocol, for people.
    const NAME: &'static str;
    /// Least and greatest version we speak.
    const VERSIONS: (i16, i16);
    type Response: Decodable + HeaderVersion;
    /// The fields of the answer in this version.
    fn shape(version: i16) -> &'static [Shape];
}

const TAGS: Shape = Tagged(&[]);
const I8: Shape = Fixed(1);
const BOOL: Shape = Fixed(1);
const I16: Shape = Fixed(2);
const I32: Shape = Fixed(4);
const I64: Shape = Fixed(8);

macro_rules! call {
    ($request:ident, $response:ident, $name:ident, $min:literal ..= $max:literal, $shape:expr) => {
        impl Call for wire::$request {
            const KEY: wire::ApiKey = wire::ApiKey::$name;
            const NAME: &'static str = stringify!($name);
            const VERSIONS: (i16, i16) = ($min, $max);
            type Response = wire::$response;
            fn shape(version: i16) -> &'static [Shape] {
                let shape: fn(i16) -> &'static [Shape] = $shape;
                shape(version)
            }
        }
    };
}

call!(
    ApiVersionsRequest,
    ApiVersionsResponse,
    ApiVersions,
    3..=3,
    |_| &[
        I16,
        CompactArray(&[I16, I16, I16, TAGS]),
        I32,
        Tagged(&[
            (0, &[CompactArray(&[CompactStr, I16, I16, TAGS])]),
            (1, &[I64]),
            (2, &[CompactArray(&[CompactStr, I16, I16, TAGS])]),
            (3, &[BOOL])
        ])
    ]
);

call!(MetadataRequest, MetadataResponse, Metadata, 9..=9, |_| &[
    I32,
    CompactArray(&[I32, CompactStr, I32, CompactStr, TAGS]),
    CompactStr,
    I32,
    CompactArray(&[
        I16,
        CompactStr,
        BOOL,
        CompactArray(&[
            I16,
            I32,
            I32,
            I32,
            CompactArray(&[I32]),
            CompactArray(&[I32]),
            CompactArray(&[I32]),
            TAGS
        ]),
        I32,
        TAGS
    ]),
    I32,
    TAGS
]);

call!(
    CreateTopicsRequest,
    CreateTopicsResponse,
    CreateTopics,
    5..=6,
    |_| &[
        I32,
        CompactArray(&[
            CompactStr,
            I16,
            CompactStr,
            I32,
            I16,
            CompactArray(&[CompactStr, CompactStr, BOOL, I8, BOOL, TAGS]),
            Tagged(&[(0, &[I16])])
        ]),
        TAGS
    ]
);

call!(
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopics,
    4..=5,
    |version| {
        if version >= 5 {
            &[
                I32,
                CompactArray(&[CompactStr, I16, CompactStr, TAGS]),
                TAGS,
            ]
        } else {
            &[I32, CompactArray(&[CompactStr, I16, TAGS]), TAGS]
        }
    }
);

call!(
    DescribeConfigsRequest,
    DescribeConfigsResponse,
    DescribeConfigs,
    4..=4,
    |_| &[
        I32,
        CompactArray(&[
            I16,
            CompactStr,
            I8,
            CompactStr,
            CompactArray(&[
                CompactStr,
                CompactStr,
                BOOL,
                I8,
                BOOL,
                CompactArray(&[CompactStr, CompactStr, I8, TAGS]),
                I8,
                CompactStr,
                TAGS
            ]),
            TAGS
        ]),
        TAGS
    ]
);

call!(
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    FindCoordinator,
    1..=2,
    |_| &[I32, I16, Str, I32, Str, I32]
);

call!(
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    DescribeGroups,
    0..=0,
    |_| &[Array(&[
        I16,
        Str,
        Str,
        Str,
        Str,
        Array(&[Str, Str, Str, Bytes, Bytes])
    ])]
);

call!(
    LeaveGroupRequest,
    LeaveGroupResponse,
    LeaveGroup,
    1..=2,
    |_| &[I32, I16]
);

call!(
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    DeleteGroups,
    0..=1,
    |_| &[I32, Array(&[Str, I16])]
);

call!(
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsets,
    2..=3,
    |_| &[I32, Array(&[Str, Array(&[I32, I16, I64, I64])])]
);

call!(
    OffsetFetchRequest,
    OffsetFetchResponse,
    OffsetFetch,
    3..=3,
    |_| &[I32, Array(&[Str, Array(&[I32, I64, Str, I16])]), I16]
);

call!(
    SaslHandshakeRequest,
    SaslHandshakeResponse,
    SaslHandshake,
    1..=1,
    |_| &[I16, Array(&[Str])]
);

call!(
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslAuthenticate,
    2..=2,
    |_| &[I16, CompactStr, CompactStr, I64, TAGS]
);

call!(
    DescribeAclsRequest,
    DescribeAclsResponse,
    DescribeAcls,
    2..=3,
    |_| &[
        I32,
        I16,
        CompactStr,
        CompactArray(&[
            I8,
            CompactStr,
            I8,
            CompactArray(&[CompactStr, CompactStr, I8, I8, TAGS]),
            TAGS
        ]),
        TAGS
    ]
);

call!(
    CreateAclsRequest,
    CreateAclsResponse,
    CreateAcls,
    2..=3,
    |_| &[I32, CompactArray(&[I16, CompactStr, TAGS]), TAGS]
);

call!(
    DeleteAclsRequest,
    DeleteAclsResponse,
    DeleteAcls,
    2..=3,
    |_| &[
        I32,
        CompactArray(&[
            I16,
            CompactStr,
            CompactArray(&[
                I16, CompactStr, I8, CompactStr, I8, CompactStr, CompactStr, I8, I8, TAGS
            ]),
            TAGS
        ]),
        TAGS
    ]
);

call!(
    AlterUserScramCredentialsRequest,
    AlterUserScramCredentialsResponse,
    AlterUserScramCredentials,
    0..=0,
    |_| &[
        I32,
        CompactArray(&[CompactStr, I16, CompactStr, TAGS]),
        TAGS
    ]
);

call!(
    DescribeUserScramCredentialsRequest,
    DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentials,
    0..=0,
    |_| &[
        I32,
        I16,
        CompactStr,
        CompactArray(&[
            CompactStr,
            I16,
            CompactStr,
            CompactArray(&[I8, I32, TAGS]),
            TAGS
        ]),
        TAGS
    ]
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::shape::check;
    use bytes::Bytes;
    use proptest::prelude::*;

    /// Decodes only what has the shape; must neither panic nor reserve more than is there.
    fn decode<C: Call>(body: &[u8]) {
        for version in C::VERSIONS.0..=C::VERSIONS.1 {
            if check(C::shape(version), body).is_ok() {
                let _ = C::Response::decode(&mut Bytes::copy_from_slice(body), version);
            }
        }
    }

    fn decode_all(body: &[u8]) {
        decode::<wire::ApiVersionsRequest>(body);
        decode::<wire::MetadataRequest>(body);
        decode::<wire::CreateTopicsRequest>(body);
        decode::<wire::DeleteTopicsRequest>(body);
        decode::<wire::DescribeConfigsRequest>(body);
        decode::<wire::FindCoordinatorRequest>(body);
        decode::<wire::DescribeGroupsRequest>(body);
        decode::<wire::LeaveGroupRequest>(body);
        decode::<wire::DeleteGroupsRequest>(body);
        decode::<wire::ListOffsetsRequest>(body);
        decode::<wire::OffsetFetchRequest>(body);
        decode::<wire::SaslHandshakeRequest>(body);
        decode::<wire::SaslAuthenticateRequest>(body);
        decode::<wire::DescribeAclsRequest>(body);
        decode::<wire::CreateAclsRequest>(body);
        decode::<wire::DeleteAclsRequest>(body);
        decode::<wire::AlterUserScramCredentialsRequest>(body);
        decode::<wire::DescribeUserScramCredentialsRequest>(body);
    }

    /// Bytes that have a shape, so that the decoders are reached too.
    fn shaped(shape: &'static [Shape]) -> BoxedStrategy<Vec<u8>> {
        let fields: Vec<BoxedStrategy<Vec<u8>>> = shape
            .iter()
            .map(|field| match *field {
                Fixed(size) => proptest::collection::vec(any::<u8>(), size).boxed(),
                Str => proptest::option::of(proptest::collection::vec(any::<u8>(), 0..6))
                    .prop_map(|text| lengthed(text, |n| i16::from(n).to_be_bytes().to_vec()))
                    .boxed(),
                Bytes => proptest::option::of(proptest::collection::vec(any::<u8>(), 0..6))
                    .prop_map(|text| lengthed(text, |n| i32::from(n).to_be_bytes().to_vec()))
                    .boxed(),
                CompactStr => proptest::option::of("[a-zé]{0,5}")
                    .prop_map(|text| {
                        lengthed(text.map(String::into_bytes), |n| {
                            vec![u8::try_from(n + 1).unwrap()]
                        })
                    })
                    .boxed(),
                Array(element) => many(element, |n| i32::from(n).to_be_bytes().to_vec()),
                CompactArray(element) => many(element, |n| vec![u8::try_from(n + 1).unwrap()]),
                Tagged(_) => prop_oneof![
                    Just(vec![0]),
                    Just(vec![1, 9, 2, 7, 7]),
                    Just(vec![1, 0, 2, 7, 7])
                ]
                .boxed(),
            })
            .collect();
        fields.prop_map(|parts| parts.concat()).boxed()
    }

    fn lengthed(text: Option<Vec<u8>>, length: fn(i8) -> Vec<u8>) -> Vec<u8> {
        let mut bytes = length(
            text.as_ref()
                .map_or(-1, |text| i8::try_from(text.len()).unwrap()),
        );
        bytes.extend(text.unwrap_or_default());
        bytes
    }

    fn many(element: &'static [Shape], count: fn(i8) -> Vec<u8>) -> BoxedStrategy<Vec<u8>> {
        proptest::collection::vec(shaped(element), 0..3)
            .prop_map(move |elements| {
                [
                    count(i8::try_from(elements.len()).unwrap()),
                    elements.concat(),
                ]
                .concat()
            })
            .boxed()
    }

    fn any_answer() -> BoxedStrategy<Vec<u8>> {
        prop_oneof![
            shaped(wire::ApiVersionsRequest::shape(3)),
            shaped(wire::MetadataRequest::shape(9)),
            shaped(wire::CreateTopicsRequest::shape(5)),
            shaped(wire::DeleteTopicsRequest::shape(5)),
            shaped(wire::DescribeConfigsRequest::shape(4)),
            shaped(wire::FindCoordinatorRequest::shape(1)),
            shaped(wire::DescribeGroupsRequest::shape(0)),
            shaped(wire::ListOffsetsRequest::shape(2)),
            shaped(wire::OffsetFetchRequest::shape(3)),
            shaped(wire::SaslHandshakeRequest::shape(1)),
            shaped(wire::SaslAuthenticateRequest::shape(2)),
            shaped(wire::DescribeAclsRequest::shape(3)),
            shaped(wire::CreateAclsRequest::shape(3)),
            shaped(wire::DeleteAclsRequest::shape(3)),
            shaped(wire::AlterUserScramCredentialsRequest::shape(0)),
            shaped(wire::DescribeUserScramCredentialsRequest::shape(0)),
        ]
        .boxed()
    }

    proptest! {
        #[test]
        fn garbage_never_panics_in_a_decoder(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            decode_all(&body);
        }

        #[test]
        fn answers_with_one_changed_byte_never_panic_in_a_decoder(
            mut body in any_answer(), at in any::<prop::sample::Index>(), value in any::<u8>()
        ) {
            decode_all(&body);
            let at = at.index(body.len());
            body[at] = value;
            decode_all(&body);
        }
    }
}
