//go:build e2e

package e2e_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// pushTo writes an index to a registry by TLS.
func pushTo(t *testing.T, by *http.Transport, index v1.ImageIndex, reference string, options ...remote.Option) {
	t.Helper()
	defer by.CloseIdleConnections()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index, append(options, remote.WithTransport(by))...); err != nil {
		t.Fatalf("pushing %s: %v", reference, err)
	}
}

// pullAll fetches an index with everything in it, and compares its digests.
func pullAll(by http.RoundTripper, reference string, options ...remote.Option) error {
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		return err
	}
	index, err := remote.Index(ref, append(options, remote.WithTransport(by))...)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, desc := range manifest.Manifests {
		if err := pullImage(index, desc.Digest); err != nil {
			return err
		}
	}
	return nil
}

func pullImage(index v1.ImageIndex, digest v1.Hash) error {
	image, err := index.Image(digest)
	if err != nil {
		return err
	}
	if _, err := image.RawConfigFile(); err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		content, err := layer.Compressed()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, content) // which compares its digest
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
	}
	return nil
}

// TestNobodyNoticesANewCertificate: a connection that is kept, one that a large layer comes over slowly, and clients that
// come anew all go on while the files change, be they replaced one by one, or broken in between.
func TestNobodyNoticesANewCertificate(t *testing.T) {
	certs := newCertificates(t, "127.0.0.1")
	mirror := certs.startTLS(t, environment(t), "--offline")
	big, layer := bigIndex(t, 64<<20)
	transport := &http.Transport{TLSClientConfig: certs.trusting(t)}
	pushTo(t, transport, big, mirror.addr+"/team/big:1")

	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			var dials atomic.Int32
			kept := &http.Transport{TLSClientConfig: certs.trusting(t), ForceAttemptHTTP2: protocol == "HTTP/2.0", MaxConnsPerHost: 1}
			kept.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials.Add(1)
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
			defer kept.CloseIdleConnections()
			first := serialOf(t, kept, mirror.addr, protocol)

			slow := &http.Client{Transport: &http.Transport{TLSClientConfig: certs.trusting(t), ForceAttemptHTTP2: protocol == "HTTP/2.0", ReadBufferSize: 4 << 10}}
			defer slow.CloseIdleConnections()
			response, err := slow.Get("https://" + mirror.addr + "/v2/team/big/blobs/" + layer.String())
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			hash := sha256.New()

			seen := map[string]bool{first: true}
			const rotations = 4
			for i := range rotations {
				if _, err := io.CopyN(hash, response.Body, layer.size/(rotations+1)); err != nil {
					t.Fatalf("after %d rotations the download broke: %v", i, err)
				}
				if i == 1 { // what is in the files is no certificate for a while
					breakFiles(t, certs, mirror)
				}
				certs.renew(t)
				eventually(t, "a new certificate is served", func() error {
					fresh := &http.Transport{TLSClientConfig: certs.trusting(t)}
					defer fresh.CloseIdleConnections()
					if serial := serialOf(t, fresh, mirror.addr, ""); !seen[serial] {
						seen[serial] = true
						return nil
					}
					return errors.New("it is the old one")
				})
				if got := serialOf(t, kept, mirror.addr, protocol); got != first || dials.Load() != 1 {
					t.Errorf("after rotation %d the connection has another certificate, or is the %dth", i+1, dials.Load())
				}
			}
			if _, err := io.Copy(hash, response.Body); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("sha256:%x", hash.Sum(nil)); got != layer.String() {
				t.Errorf("the layer came as %s, want %s", got, layer)
			}
		})
	}
	mirror.stopCleanly(t)
}

// breakFiles leaves half a certificate on the disk, and then one of another key, and checks that the mirror goes on with
// what it had, with and without a reload.
func breakFiles(t *testing.T, certs *certificates, mirror *server) {
	t.Helper()
	path := filepath.Join(certs.dir, "server.crt")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(newCertificates(t, "127.0.0.1").dir, "server.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(good[:len(good)/3]), string(other), ""} {
		writeFile(t, certs.dir, "server.crt", text)
		refuses(t, environment(t), "the settings are unchanged", mirrorBin, "reload", "--data", mirror.data)
		fresh := &http.Transport{TLSClientConfig: certs.trusting(t)}
		serialOf(t, fresh, mirror.addr, "")
		fresh.CloseIdleConnections()
	}
}

// serialOf asks something, and returns which certificate it was answered with.
func serialOf(t *testing.T, by *http.Transport, addr, protocol string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addr+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := by.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Proto, protocol) {
		t.Errorf("GET /v2/: %s %s, want 200 by %s", response.Proto, response.Status, protocol)
	}
	return response.TLS.PeerCertificates[0].SerialNumber.String()
}
