package s3

import (
	"context"
	"io"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
)

// octets are the options of all writes.
var octets = minio.PutObjectOptions{ContentType: "application/octet-stream"}

// limit returns a context with the time limit of a request that sends size bytes.
func (b *Bucket) limit(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, attempts*b.timeout+time.Duration(size/slowest)*time.Second)
}

// Put writes an object. The store compares the content with its SHA-256, in hexadecimal digits.
func (b *Bucket) Put(ctx context.Context, key string, content io.ReadSeeker, size int64, sha256 string) error {
	limited, cancel := b.limit(ctx, size)
	defer cancel()
	_, err := b.core.PutObject(limited, b.config.Bucket, b.name(key), content, size, "", sha256, octets)
	return b.explain(ctx, "write object", key, err)
}

// BeginParts begins an object that is written in parts.
func (b *Bucket) BeginParts(ctx context.Context, key string) (upload string, err error) {
	limited, cancel := b.limit(ctx, 0)
	defer cancel()
	upload, err = b.core.NewMultipartUpload(limited, b.config.Bucket, b.name(key), octets)
	return upload, b.explain(ctx, "begin object", key, err)
}

// PutPart writes a part, numbered from 1, and returns its tag. It replaces a part with the same number.
func (b *Bucket) PutPart(ctx context.Context, key, upload string, number int, content io.ReadSeeker, size int64, sha256 string) (tag string, err error) {
	limited, cancel := b.limit(ctx, size)
	defer cancel()
	part, err := b.core.PutObjectPart(limited, b.config.Bucket, b.name(key), upload, number, content, size, minio.PutObjectPartOptions{Sha256Hex: sha256})
	return part.ETag, b.explain(ctx, "write a part of object", key, err)
}

// CompleteParts makes the object of its parts, given by their tags in order. After an answer that was lost, the repeated
// request finds no upload: then the object is looked up.
func (b *Bucket) CompleteParts(ctx context.Context, key, upload string, tags []string, size int64) error {
	limited, cancel := b.limit(ctx, size) // the store may copy the parts
	defer cancel()
	parts := make([]minio.CompletePart, len(tags))
	for i, tag := range tags {
		parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: tag}
	}
	_, err := b.core.CompleteMultipartUpload(limited, b.config.Bucket, b.name(key), upload, parts, octets)
	if minio.ToErrorResponse(err).Code == "NoSuchUpload" {
		if info, statErr := b.core.StatObject(limited, b.config.Bucket, b.name(key), minio.StatObjectOptions{}); statErr == nil && info.Size == size {
			return nil
		}
	}
	return b.explain(ctx, "complete object", key, err)
}

// AbortParts deletes the parts of an object that was not completed. An upload that does not exist is no error.
func (b *Bucket) AbortParts(ctx context.Context, key, upload string) error {
	limited, cancel := b.limit(ctx, 0)
	defer cancel()
	err := b.core.AbortMultipartUpload(limited, b.config.Bucket, b.name(key), upload)
	if minio.ToErrorResponse(err).Code == "NoSuchUpload" {
		return nil
	}
	return b.explain(ctx, "abort object", key, err)
}

// Delete deletes objects, up to 1000 in one request. An object that does not exist is no error. It returns the first
// failure, after it has tried all.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	limited, cancel := b.limit(ctx, int64(len(keys))*slowest)
	defer cancel()
	objects := make(chan minio.ObjectInfo, len(keys))
	for _, key := range keys {
		objects <- minio.ObjectInfo{Key: b.name(key)}
	}
	close(objects)
	var first error
	for failed := range b.core.RemoveObjects(limited, b.config.Bucket, objects, minio.RemoveObjectsOptions{}) {
		if first == nil && minio.ToErrorResponse(failed.Err).Code != minio.NoSuchKey {
			first = b.explain(ctx, "delete object", failed.ObjectName[min(len(b.config.Prefix), len(failed.ObjectName)):], failed.Err)
		}
	}
	return first
}

// Presign returns a URL by which anybody can read the object until it expires.
func (b *Bucket) Presign(ctx context.Context, key string, expires time.Duration, parameters url.Values) (*url.URL, error) {
	u, err := b.public.PresignedGetObject(ctx, b.config.Bucket, b.name(key), expires, parameters)
	return u, b.explain(ctx, "presign object", key, err)
}
