package mirror

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Code is the kind of an error. Kinds that the distribution specification defines have its names:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
type Code string

// The codes. The first group is that of the specification.
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

	// CodeManifestTooLarge: the manifest is larger than [MaxManifestSize].
	CodeManifestTooLarge Code = "MANIFEST_TOO_LARGE"
	// CodeRangeInvalid: the chunk does not begin at the end of the upload.
	CodeRangeInvalid Code = "RANGE_INVALID"
	// CodePaginationInvalid: the page size is not a number.
	CodePaginationInvalid Code = "PAGINATION_NUMBER_INVALID"
	// CodeUploadBusy: another request uses the upload.
	CodeUploadBusy Code = "UPLOAD_BUSY"
	// CodeStorageFull: there is no room for pushed content.
	CodeStorageFull Code = "STORAGE_FULL"
	// CodeBundleInvalid: the file is not a bundle or an archive of images, or it is damaged.
	CodeBundleInvalid Code = "BUNDLE_INVALID"
	// CodeUnavailable: an upstream or this mirror cannot answer now.
	CodeUnavailable Code = "UNAVAILABLE"
	// CodeUnknown: any other failure of this mirror.
	CodeUnknown Code = "UNKNOWN"
)

// Error is an error that clients may see.
type Error struct {
	Code    Code
	Message string // names the content, the reason and, if there is one, the next step
	Detail  any    // for the client, as JSON; may be nil
	Cause   error  // for the log and errors.Is; may be nil
}

// Errorf returns an [Error] with a formatted message. %w sets the cause, as with [fmt.Errorf].
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// Error returns the message and the cause, unless the message contains it.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	if cause := e.Cause.Error(); !strings.Contains(e.Message, cause) {
		return e.Message + ": " + cause
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of the first [Error] in the chain of err, [CodeUnknown] if there is none, and "" for nil.
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

// UpstreamRefused reports whether an upstream refused a request without saying whether the content does not exist or is
// denied.
func UpstreamRefused(err error) bool {
	var refusal interface{ Refused() bool }
	return errors.As(err, &refusal) && refusal.Refused()
}

// quote shortens and quotes text from a client for a message.
func quote(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}
