package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/cachetest"
	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

func TestExportIsProtectedFromCollector(t *testing.T) {
	s, _, _ := staged(t)
	var layers []string
	for i := range 6 { // more than the read-ahead
		layers = append(layers, content(fmt.Sprint("layer", i), 1<<20))
	}
	s.image(app, mirror.Pushed, "linux/amd64", layers, "large")
	_, doc, err := s.tryExport(transfer.ExportRequest{All: true})
	s.must(err)
	r, w := io.Pipe()
	go func() {
		_, err := s.Export(context.Background(), transfer.ExportRequest{All: true}, nil, w)
		w.CloseWithError(err)
	}()
	var out bytes.Buffer
	_, err = io.CopyN(&out, r, 10)
	s.must(err)
	for _, image := range doc.Images {
		repo, err := mirror.ParseRepo(image.Repository)
		s.must(err)
		s.must(s.store.DeleteManifest(t.Context(), repo, image.Digest))
	}
	s.collect()
	_, err = io.Copy(&out, r)
	s.must(err)
	inside := newSite(t, transfer.Options{})
	inside.take(out.Bytes(), transfer.ImportRequest{})
	inside.hasAll(doc)
	before := len(s.digests())
	s.collect()
	if len(s.digests()) == before {
		t.Error("the content is still protected after the export")
	}
}

func TestImportIsProtectedFromCollector(t *testing.T) {
	_, data, doc := staged(t)
	s := newSite(t, transfer.Options{})
	_, _, err := s.tryTake(readerFunc(func(p []byte) (int, error) {
		s.collect()
		n := copy(p[:min(len(p), 3000)], data)
		if data = data[n:]; n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}), transfer.ImportRequest{})
	s.must(err)
	s.hasAll(doc)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestConcurrentImports(t *testing.T) {
	_, data, doc := staged(t)
	s := newSite(t, transfer.Options{})
	bad := bytes.Replace(data, []byte(content("b", 700)), []byte(content("c", 700)), 1)
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			from := data
			if i%2 == 1 {
				from = bad
			}
			_, err := s.Import(t.Context(), transfer.ImportRequest{}, struct{ io.Reader }{bytes.NewReader(from)}, new(progress.Reporter), ignore)
			if err != nil && (i%2 == 0 || mirror.CodeOf(err) != mirror.CodeDigestInvalid) {
				t.Error(err)
			}
		})
	}
	work.Wait()
	s.hasAll(doc)
	s.nothingIsLeft()
}

func TestInvalidBundleKeepsPushedBlobs(t *testing.T) {
	m := newMade()
	first, last := content("first", 1000), content("last", 1000)
	m.tag("v1", m.image(t, m.blob(first), m.blob(last)))
	data := m.write(t, nil)
	if bytes.Index(data, []byte(first)) > bytes.Index(data, []byte(last)) {
		first, last = last, first
	}
	at := bytes.Index(data, []byte(last))
	lie := bytes.NewReader(bytes.Replace(data, []byte(last), []byte(content("lie", 1000)), 1))
	s := newSite(t, transfer.Options{})
	_, _, err := s.tryTake(readerFunc(func(p []byte) (int, error) {
		if lie.Size()-int64(lie.Len()) == int64(at) {
			for !slices.Contains(s.digests(), digest.FromString(first)) { // it is being committed
				runtime.Gosched()
			}
			s.blob(app, first)
			return lie.Read(p)
		}
		return lie.Read(p[:min(len(p), 500, max(1, at+lie.Len()-int(lie.Size())))])
	}), transfer.ImportRequest{})
	wantCode(t, err, mirror.CodeDigestInvalid)
	if held := s.digests(); !slices.Equal(held, []digest.Digest{digest.FromString(first)}) {
		t.Errorf("stored: %v", held)
	}
}

func TestPendingImportTimesOut(t *testing.T) {
	_, data, _ := staged(t)
	all := volumes(data, 9000)
	for name, jump := range map[string]func(m *cachetest.Machine){
		"nothing happens": func(*cachetest.Machine) {},
		"set to 2040":     func(m *cachetest.Machine) { m.Set(time.Date(2040, time.January, 1, 0, 0, 0, 0, time.UTC)) },
		"set to 1970":     func(m *cachetest.Machine) { m.Set(time.Date(1970, time.January, 1, 0, 0, 0, 0, time.UTC)) },
		"started in 2040": func(m *cachetest.Machine) { m.Restart(time.Date(2040, time.January, 1, 0, 0, 0, 0, time.UTC)) },
		"started in 1970": func(m *cachetest.Machine) { m.Restart(time.Date(1970, time.January, 1, 0, 0, 0, 0, time.UTC)) },
	} {
		t.Run(name, func(t *testing.T) {
			m := cachetest.NewMachine(time.Now())
			s := &site{t: t, folder: t.TempDir(), clock: m}
			s.start()
			defer func() { s.stop() }()
			_, err := s.sendVolume(all, 1)
			s.must(err)
			if len(s.digests()) == 0 {
				t.Fatal("nothing was stored")
			}
			jump(m)
			s.restart()
			m.Pass(29 * 24 * time.Hour)
			s.restart()
			if len(s.digests()) == 0 {
				t.Error("the import was dropped after 29 days")
			}
			m.Pass(2 * 24 * time.Hour)
			s.restart()
			if len(s.digests()) != 0 {
				t.Error("the import was not dropped after 31 days")
			}
		})
	}
}

func TestPlanReportsContent(t *testing.T) {
	s := growing(t)
	_, one := s.export(transfer.ExportRequest{Images: []string{v1Name}, To: "plant-7"})
	var images []bundle.Image
	summary, err := s.Plan(t.Context(), transfer.ExportRequest{All: true, To: "plant-7", Since: "last"}, nil, new(progress.Reporter), func(e transfer.Event) {
		if e.Kind == transfer.KindImage {
			images = append(images, *e.Image)
		}
	})
	s.must(err)
	if len(images) != 2 || images[0].New != 0 || images[1].New != summary.New || images[1].Size < 200_000 {
		t.Errorf("%+v", images)
	}
	if summary.Bytes < 200_000 || summary.New > 2000 || summary.Sequence != one.Sequence+1 || !summary.DryRun {
		t.Errorf("%+v", summary)
	}
	if _, doc, err := s.tryExport(transfer.ExportRequest{All: true, To: "plant-7", Since: "last"}); err != nil || doc.Sequence != 2 {
		t.Errorf("%v: a plan takes a number", err)
	}
}
