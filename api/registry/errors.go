package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"syscall"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// statuses maps error codes to HTTP statuses.
var statuses = map[mirror.Code]int{
	mirror.CodeBlobUnknown:         http.StatusNotFound,
	mirror.CodeBundleInvalid:       http.StatusBadRequest,
	mirror.CodeBlobUploadInvalid:   http.StatusBadRequest,
	mirror.CodeBlobUploadUnknown:   http.StatusNotFound,
	mirror.CodeDigestInvalid:       http.StatusBadRequest,
	mirror.CodeManifestBlobUnknown: http.StatusNotFound,
	mirror.CodeManifestInvalid:     http.StatusBadRequest,
	mirror.CodeManifestTooLarge:    http.StatusRequestEntityTooLarge,
	mirror.CodeManifestUnknown:     http.StatusNotFound,
	mirror.CodeNameInvalid:         http.StatusBadRequest,
	mirror.CodeNameUnknown:         http.StatusNotFound,
	mirror.CodePaginationInvalid:   http.StatusBadRequest,
	mirror.CodeRangeInvalid:        http.StatusRequestedRangeNotSatisfiable,
	mirror.CodeSizeInvalid:         http.StatusBadRequest,
	mirror.CodeUnauthorized:        http.StatusUnauthorized,
	mirror.CodeDenied:              http.StatusForbidden,
	mirror.CodeUnsupported:         http.StatusMethodNotAllowed,
	mirror.CodeTooManyRequests:     http.StatusTooManyRequests,
	mirror.CodeUploadBusy:          http.StatusConflict,
	mirror.CodeStorageFull:         http.StatusInsufficientStorage,
	mirror.CodeUnavailable:         http.StatusServiceUnavailable,
	mirror.CodeUnknown:             http.StatusInternalServerError,
}

// errAborted means that a response failed after it began.
var errAborted = errors.New("the response was aborted")

type errorBody struct {
	Code    mirror.Code `json:"code"`
	Message string      `json:"message"`
	Detail  any         `json:"detail,omitempty"`
}

// fail answers with err in the form of the specification. If the response has begun, it aborts the connection.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
func (x *exchange) fail(err error) {
	log := x.log.With(zap.String("method", x.r.Method), zap.String("path", x.r.URL.Path), zap.Error(err))
	if id := x.Header().Get("X-Request-Id"); id != "" {
		log = log.With(zap.String("request", id))
	}
	if errors.Is(err, errAborted) {
		log.Info("response aborted")
		panic(http.ErrAbortHandler)
	}
	if coded := withStorageCode(err); coded != err { //nolint:errorlint // compares identity, not the chain
		log.Error("request failed")
		err = coded
	}
	code := mirror.CodeOf(err)
	body := errorBody{Code: code, Message: "internal error: see the mirror's log"}
	switch e := (*mirror.Error)(nil); {
	case errors.As(err, &e):
		body.Message, body.Detail = redact(e), e.Detail
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		code, body.Code, body.Message = mirror.CodeUnavailable, mirror.CodeUnavailable, "the request was cancelled"
	default:
		log.Error("request failed")
	}
	status := statuses[code]
	log.Debug("request refused", zap.Int("status", status))
	if status == http.StatusMethodNotAllowed {
		x.Header().Set("Allow", x.allowedMethods())
	}
	if mirror.TemporaryMiss(err) {
		x.Header().Set(mirror.MissHeader, mirror.MissUnavailable)
	}
	for _, header := range []string{"Content-Length", "Etag", "Docker-Content-Digest", "Accept-Ranges"} {
		x.Header().Del(header)
	}
	body.write(x, x.r, status)
}

// Refuse answers with an error in the form of the specification. It is for handlers that wrap a [Handler].
func Refuse(w http.ResponseWriter, r *http.Request, err *mirror.Error) {
	errorBody{Code: err.Code, Message: redact(err), Detail: err.Detail}.write(w, r, StatusOf(err.Code))
}

// write sends the error. Answers 429 and 503 get a default Retry-After header.
func (b errorBody) write(w http.ResponseWriter, r *http.Request, status int) {
	h := w.Header()
	if (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "10")
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(map[string][]errorBody{"errors": {b}}) // the client may be gone
	}
}

// allowedMethods returns the Allow header for the request's endpoint.
func (x *exchange) allowedMethods() string {
	var allowed []string
	for _, method := range methods[x.req.Endpoint] {
		if method != http.MethodDelete || !x.inUse && !x.noDelete() || x.req.Endpoint == Upload {
			allowed = append(allowed, method)
		}
	}
	return strings.Join(allowed, ", ")
}

// StatusOf returns the HTTP status for an error code. Other APIs of the mirror use it to answer with the same statuses.
func StatusOf(code mirror.Code) int {
	if status, ok := statuses[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// redact returns the text of an error for clients, without the paths of this machine.
func redact(err error) string {
	text := err.Error()
	walkErrors(err, func(err error) {
		switch e := err.(type) { //nolint:errorlint // walk takes the tree apart
		case *fs.PathError:
			text = strings.ReplaceAll(text, e.Error(), e.Err.Error())
		case *os.LinkError:
			text = strings.ReplaceAll(text, e.Error(), e.Err.Error())
		}
	})
	return text
}

// walkErrors calls visit for err and every error that it wraps.
func walkErrors(err error, visit func(error)) {
	if err == nil {
		return
	}
	visit(err)
	switch e := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		walkErrors(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			walkErrors(err, visit)
		}
	}
}

// withStorageCode replaces a storage error by one with a code if that helps the client, as when the disk is full.
func withStorageCode(err error) error {
	if mirror.CodeOf(err) == mirror.CodeUnknown && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		return &mirror.Error{Code: mirror.CodeStorageFull, Message: "the mirror's disk is full"}
	}
	return err
}
