//go:build bench

package bench_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

const (
	smallLayers = 2
	smallRounds = 3
)

// smallRound is how long a round takes.
var smallRound = time.Duration(rounds(3)) * time.Second

// way is how a client pushes a blob.
type way int

const (
	dockerWay     way = iota // HEAD, POST, PATCH of unknown length, PUT; crane and BuildKit are much the same
	containerdWay            // HEAD, POST, PUT with the bytes
)

// BenchmarkSmallImages pushes many small images at once: a config, two layers and a manifest, all of them new.
func BenchmarkSmallImages(b *testing.B) {
	absolute := aim{limit: 500, absolute: true}
	b.Run("docker", func(b *testing.B) { benchmarkSmallImages(b, "small images, as docker pushes", dockerWay, 64, absolute) })
	b.Run("containerd", func(b *testing.B) {
		notQuick(b)
		benchmarkSmallImages(b, "small images, as containerd pushes", containerdWay, 64, absolute)
	})
	b.Run("few", func(b *testing.B) { benchmarkSmallImages(b, "small images of 8 clients", dockerWay, 8, atLeast(5)) })
}

func benchmarkSmallImages(b *testing.B, name string, how way, pushers int, a aim) {
	measure(b, func() {
		mirror, registry := startMirror(b, "--offline"), startRegistry(b, "")
		var next atomic.Uint64
		var cost [2]time.Duration // processor time of each server, and below how many images it received
		var taken [2]uint64
		push := func(which int, s *server) func(int) float64 {
			return func(int) float64 {
				first, cpu := next.Load(), s.cpu()
				end := time.Now().Add(smallRound)
				took := together(b, pushers, s.addr, func(i int, c *conn) error {
					for time.Now().Before(end) {
						n := next.Add(1)
						if err := newSmallImage(n, smallLayers).push(c, smallRepo(i), fmt.Sprintf("v%d", n), how); err != nil {
							return err
						}
					}
					return nil
				})
				cost[which] += s.cpu() - cpu
				taken[which] += next.Load() - first
				return float64(next.Load()-first) / took.Seconds()
			}
		}
		r := alternate(smallRounds, push(0, mirror), push(1, registry)).row(name, "images/s", "distribution", a)
		r.memory = mirror.memory()
		each := func(which int) float64 { return cost[which].Seconds() * 1e3 / float64(taken[which]) }
		r.note = fmt.Sprintf("%d pushers, %d objects each; cpu %.1f ms an image, distribution %.1f; distribution %s anonymous",
			pushers, smallLayers+2, each(0), each(1), mebibytes(registry.memory().anonymous))
		r.add(b)

		c, err := dial(mirror.addr) // what was pushed is what comes back
		check(b, err)
		defer c.Close()
		last := newSmallImage(next.Add(1), smallLayers)
		check(b, last.push(c, smallRepo(0), "last", how))
		check(b, last.pull(c, smallRepo(0), "last"))
	})
}

func smallRepo(pusher int) string { return fmt.Sprintf("team/app%d", pusher) }

// smallImage is the blobs of an image, config first, and its manifest.
type smallImage struct {
	blobs    [][]byte
	digests  []string
	manifest []byte
}

// newSmallImage makes an image of blobs with 1 to 4 KiB that no other n yields.
func newSmallImage(n uint64, layers int) (i smallImage) {
	for blob := range layers + 1 {
		s := stream{n<<8 | uint64(blob), int64(1024 + (int(n)*977+blob*1361)%3072)}
		h := s.header(0)
		data := slices.Clone(filler[:s.Size])
		copy(data, h[:])
		i.blobs, i.digests = append(i.blobs, data), append(i.digests, digestOfBytes(data))
	}
	var descriptors []string
	for blob := 1; blob <= layers; blob++ {
		descriptors = append(descriptors, descriptor(layerType, i.digests[blob], len(i.blobs[blob])))
	}
	i.manifest = manifestOf(i.digests[0], len(i.blobs[0]), descriptors...)
	return i
}

func (i smallImage) push(c *conn, repo, tag string, how way) error {
	for n, data := range i.blobs {
		if err := pushSmall(c, repo, data, i.digests[n], how); err != nil {
			return err
		}
	}
	_, _, err := c.do(http.StatusCreated, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, "Content-Type: "+manifestType+"\r\n", i.manifest, nil)
	return err
}

func pushSmall(c *conn, repo string, data []byte, digest string, how way) error {
	if _, _, err := c.do(http.StatusNotFound, http.MethodHead, "/v2/"+repo+"/blobs/"+digest, "", nil, nil); err != nil {
		return err
	}
	r, _, err := c.do(http.StatusAccepted, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", "", nil, nil)
	if err != nil {
		return err
	}
	if how == dockerWay {
		body := fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", len(data), data)
		if r, _, err = c.do(http.StatusAccepted, http.MethodPatch, r.location, "Transfer-Encoding: chunked\r\n", body, nil); err != nil {
			return err
		}
		data = nil
	}
	_, _, err = c.do(http.StatusCreated, http.MethodPut, withDigest(r.location, digest), "", data, nil)
	return err
}

func (i smallImage) pull(c *conn, repo, tag string) error {
	_, manifest, err := c.do(http.StatusOK, http.MethodGet, "/v2/"+repo+"/manifests/"+tag, "Accept: "+manifestType+"\r\n", nil, nil)
	if err == nil && !bytes.Equal(manifest, i.manifest) {
		err = fmt.Errorf("manifest %s: wrong bytes", tag)
	}
	for n := 0; n < len(i.blobs) && err == nil; n++ {
		var data []byte
		_, data, err = c.do(http.StatusOK, http.MethodGet, "/v2/"+repo+"/blobs/"+i.digests[n], "", nil, nil)
		if err == nil && !bytes.Equal(data, i.blobs[n]) {
			err = fmt.Errorf("blob %s: wrong bytes", i.digests[n])
		}
	}
	return err
}
