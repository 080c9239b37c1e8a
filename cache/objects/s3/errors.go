package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"airmirror/mirror"
)

var (
	// ErrNotFound means that there is no such object.
	ErrNotFound = errors.New("the object does not exist")
	// ErrNoUpload means that a multipart upload does not exist, or not with these parts.
	ErrNoUpload = errors.New("the multipart upload does not exist any more")
)

// explain describes a failed request. ctx is that of the caller, without the time limit of the request.
func (b *Bucket) explain(ctx context.Context, doing, key string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	response := minio.ToErrorResponse(err)
	doing = fmt.Sprintf("%s %s in %s", doing, b.name(key), b)
	switch response.Code {
	case minio.NoSuchKey:
		return fmt.Errorf("%s: %w", doing, ErrNotFound)
	case "NoSuchUpload", "InvalidPart", "InvalidPartOrder":
		return fmt.Errorf("%s: %w (%s)", doing, ErrNoUpload, response.Code)
	case minio.NoSuchBucket:
		return fmt.Errorf("%s: the bucket does not exist: create it", doing)
	}
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden || response.Code == "XAdminUserNotFound" {
		return fmt.Errorf("%s: the object storage refuses it (%s): check the credentials and their rights", doing, response.Code)
	}
	if response.StatusCode >= 400 && response.StatusCode < 500 {
		return fmt.Errorf("%s: the object storage answers %s: %w", doing, response.Code, err)
	}
	return mirror.Errorf(mirror.CodeUnavailable, "%s: the object storage does not answer: %w", doing, err)
}
