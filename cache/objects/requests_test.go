package objects

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache"
	"airmirror/cache/cachetest/generate"
	"airmirror/mirror"
)

// wantRequests checks which requests were sent since the last call, in any order.
func wantRequests(t *testing.T, s *testStore, doing string, want ...string) {
	t.Helper()
	got := s.take()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: the requests were %q, want %q", doing, got, want)
	}
}

// TestRequestsOfImages counts the requests of a push as a client sends it: each blob in one request of its own, and the commit
// in another one.
func TestRequestsOfImages(t *testing.T) {
	bucket, index := store(t), openIndex(t)
	s, err := cache.New(openNode(t, bucket, index), index, cache.Options{})
	must(t, err)
	defer s.Close()

	small := generate.Options{Repos: 1, LayerBytes: 100}.Image(1)
	pushInSteps(t, s, small)
	wantRequests(t, bucket, "the push of an image whose blobs are in the index")

	image := generate.Options{Repos: 1, LayerBytes: 200_000}.Image(2)
	pushInSteps(t, s, image)
	layers := 0
	for _, blob := range image.Blobs {
		if len(blob) > maxInline {
			layers++
		}
	}
	wantRequests(t, bucket, "the push of an image", slices.Repeat([]string{"put"}, layers)...)

	other, err := cache.New(openNode(t, bucket, index), index, cache.Options{})
	must(t, err)
	pull(t, other, image)
	wantRequests(t, bucket, "the first pull from another node", slices.Repeat([]string{"get"}, layers)...)
	pull(t, other, image)
	wantRequests(t, bucket, "the next pull")
}

// TestRequestsOfParts counts the requests of a blob of several parts.
func TestRequestsOfParts(t *testing.T) {
	s := store(t)
	o := openNode(t, s, openIndex(t))
	data := make([]byte, 2*partSize)
	copy(data, "two parts")
	w, err := o.Create(t.Context(), digest.SHA256, "upload")
	must(t, err)
	_, err = w.ReadFrom(bytes.NewReader(data))
	must(t, err)
	must(t, w.Suspend())
	w, err = o.Resume(t.Context(), w.ID())
	must(t, err)
	must(t, w.Commit(t.Context(), digest.FromBytes(data)))
	wantRequests(t, s, "a blob of two parts", "begin", "part", "part", "complete")
}

// TestRequestsOfDeletion deletes objects in one request.
func TestRequestsOfDeletion(t *testing.T) {
	s := store(t)
	o := openNode(t, s, openIndex(t))
	var all []digest.Digest
	for i := range 3 {
		all = append(all, put(t, o, bytes.Repeat([]byte{byte(i)}, maxInline+1)))
	}
	for _, d := range all {
		must(t, o.Delete(t.Context(), d))
	}
	s.take()
	if n, err := o.Clean(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("Clean deletes %d objects that were just noted, %v", n, err)
	}
	wantRequests(t, s, "Clean of nothing")
	if n, err := o.Clean(t.Context(), time.Now().Add(time.Hour)); n != 3 || err != nil {
		t.Errorf("Clean deletes %d objects, %v; want 3", n, err)
	}
	wantRequests(t, s, "Clean", "delete")
	if n, err := o.Clean(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("Clean deletes %d objects again, %v", n, err)
	}
}

// pushInSteps pushes an image as clients do over HTTP: each request opens the upload again.
func pushInSteps(t *testing.T, s mirror.Store, image generate.Image) {
	t.Helper()
	for _, blob := range image.Blobs {
		u, err := s.StartUpload(t.Context(), image.Repo, digest.SHA256)
		must(t, err)
		must(t, u.Close())
		u, err = s.Upload(t.Context(), image.Repo, u.ID())
		must(t, err)
		_, err = u.Append(bytes.NewReader(blob))
		must(t, err)
		must(t, u.Close())
		u, err = s.Upload(t.Context(), image.Repo, u.ID())
		must(t, err)
		must(t, u.Commit(t.Context(), digest.FromBytes(blob)))
	}
	m := mirror.Manifest{MediaType: v1.MediaTypeImageManifest, Digest: image.Digest, Bytes: image.Manifest, Origin: mirror.Pushed}
	must(t, s.PutManifest(t.Context(), image.Repo, m, image.Tag))
}

func pull(t *testing.T, s mirror.Store, image generate.Image) {
	t.Helper()
	for _, want := range image.Blobs {
		blob, err := s.Blob(t.Context(), image.Repo, digest.FromBytes(want))
		must(t, err)
		if blob.Verify != nil {
			must(t, blob.Verify(t.Context()))
		}
		if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, %v; want the %d bytes that were pushed", len(got), err, len(want))
		}
		blob.Close()
	}
}

// put stores data without a label.
func put(t *testing.T, o *Objects, data []byte) digest.Digest {
	t.Helper()
	w, err := o.Create(t.Context(), digest.SHA256, "")
	must(t, err)
	_, err = w.Write(data)
	must(t, err)
	d := digest.FromBytes(data)
	must(t, w.Commit(t.Context(), d))
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
