package cache

import (
	"bytes"
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

const (
	// minConfig and maxConfig are the sizes of blobs that may be configs of images, in bytes. The platform of an image with
	// a larger config is read from the config.
	minConfig = int64(len(`{"os":"a","architecture":"b"}`))
	maxConfig = 64 << 10
	// maxPlatform is the maximum length of a platform in a record, in bytes.
	maxPlatform = 64
)

// platformStated returns the platform that the content of d, which is stored, states for an image that has it as its
// config. A config is recognized by its content, because it can come before or after its manifest. platformStated returns
// "" for other content, and if it cannot be read: then readers of the platform read the config.
func (s *Store) platformStated(ctx context.Context, d digest.Digest, size int64) string {
	if size < minConfig || size > maxConfig {
		return ""
	}
	blob, err := s.blobs.Open(ctx, d)
	if err != nil {
		return ""
	}
	defer blob.Close()
	data := make([]byte, size)
	if _, err := io.ReadFull(blob, data[:1]); err != nil || data[0] != '{' { // most layers and all bundles of files are compressed
		return ""
	}
	if _, err := io.ReadFull(blob, data[1:]); err != nil {
		return ""
	}
	return platformOf(data)
}

// platformOf returns the platform that a config states, or "".
func platformOf(config []byte) string {
	if len(config) > maxConfig {
		return ""
	}
	p, ok := mirror.ReadPlatform(bytes.NewReader(config))
	if !ok {
		return ""
	}
	if platform := mirror.PlatformString(p); len(platform) <= maxPlatform {
		return platform
	}
	return ""
}
