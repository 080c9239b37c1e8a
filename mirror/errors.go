package mirror

import (
	"errors"
	"fmt"
	"strconv"
)

// Code says what kind of thing went wrong, in the words of the distribution specification where it has one:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
type Code string

// The codes of the specification, and after them those it lacks a word for.
const (
	CodeBlobUnknown         Code = "BLOB_UNKNOWN"
	CodeBlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"
	CodeBlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"
	CodeDigestInvalid       Code = "DIGEST_INVALID"
	CodeManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN"
	CodeManifestInvalid     Code = "MANIFEST_INVALID"
	CodeManifestUnknown     Code = "MANIFEST_UNKNOWN"
	CodeNameInvalid         Code = "NAME_INVALID"
	CodeNameUnknown         Code = "NAME_UNKNOWN"
	CodeSizeInvalid         Code = "SIZE_INVALID"
	CodeUnauthorized        Code = "UNAUTHORIZED"
	CodeDenied              Code = "DENIED"
	CodeUnsupported         Code = "UNSUPPORTED"
	CodeTooManyRequests     Code = "TOOMANYREQUESTS"

	// CodeManifestTooLarge: a manifest over [MaxManifestSize].
	CodeManifestTooLarge Code = "MANIFEST_TOO_LARGE"
	// CodeRangeInvalid: a chunk that does not begin where the upload stands.
	CodeRangeInvalid Code = "RANGE_INVALID"
	// CodePaginationInvalid: a page size that is not a number.
	CodePaginationInvalid Code = "PAGINATION_NUMBER_INVALID"
	// CodeUploadBusy: another request has the upload.
	CodeUploadBusy Code = "UPLOAD_BUSY"
	// CodeStorageFull: there is no room for what a client pushes.
	CodeStorageFull Code = "STORAGE_FULL"
	// CodeBundleInvalid: what was to be imported is no bundle or archive of images, or is damaged.
	CodeBundleInvalid Code = "BUNDLE_INVALID"
	// CodeUnavailable: an upstream, or this mirror, cannot answer now.
	CodeUnavailable Code = "UNAVAILABLE"
	// CodeUnknown: everything else, a fault of this mirror.
	CodeUnknown Code = "UNKNOWN"
)

// Error is an error that a client can be told: a code, a sentence, what it is about, and the cause.
type Error struct {
	Code    Code
	Message string // names the thing, the reason and, where there is one, the next step
	Detail  any    // for the client, as JSON; may be nil
	Cause   error  // for the log and errors.Is; may be nil
}

// Errorf returns an [Error] with a formatted message; %w makes the cause, as with fmt.Errorf.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// Error returns the message with its cause.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	if cause := e.Cause.Error(); cause != e.Message && !hasSuffix(e.Message, cause) {
		return e.Message + ": " + cause
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of the first [Error] in err's chain, [CodeUnknown] if there is none and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeUnknown
}

// UpstreamRefused reports whether err is a refusal of an upstream: it may not give something, or does not have it, and does not
// say which.
func UpstreamRefused(err error) bool {
	var refusal interface{ Refused() bool }
	return errors.As(err, &refusal) && refusal.Refused()
}

func hasSuffix(s, suffix string) bool {
	return len(s) >= len(suffix) && s[len(s)-len(suffix):] == suffix
}

// quote shortens what a client sent before it is repeated in a message.
func quote(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}
