// Package wire is how the platform speaks to a server and is answered: signatures,
// the encrypted mode, pushes and passive replies, after the pages "Receiving messages",
// "Receiving event pushes", "Passive user reply message" and "Message encryption and
// decryption" of the Official Account documentation (developers.weixin.qq.com/doc/service).
//
// It is pure: no network, no database, no clock. What a push means for a campaign
// is decided elsewhere.
package wire

import "errors"

// MaxBody is the most bytes a push may have, sealed or not. Real ones have a few thousand.
const MaxBody = 64 << 10

// Success is the answer that says "heard, nothing to show"; it stops the platform's
// repetitions and is never encrypted.
const Success = "success"

var (
	// ErrForged is every reason not to believe a sealed push: signature, cipher text,
	// padding, length or app id. It is one error so that nobody learns from the answer
	// how far a forgery came.
	ErrForged = errors.New("the push is not signed and sealed with this account's token, key and app id")
	// ErrMalformed is a body that is no push: not XML, not in the platform's shape, or beyond a limit.
	ErrMalformed = errors.New("the body is not a push of the platform")
	// ErrSealed is an encrypted push where a plain one was expected: the account's
	// EncodingAESKey is not configured here.
	ErrSealed = errors.New("the push is encrypted and no EncodingAESKey is configured for this account")
)
