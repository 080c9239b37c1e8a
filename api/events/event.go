// Package events sends webhooks to other systems, in the format of distribution's notifications:
// https://distribution.github.io/distribution/about/notifications/
//
// An event passes through a bounded channel to a writer, which appends it to a queue on disk for each endpoint. From there
// it is sent in batches, oldest first. An event is removed from the queue when the endpoint has answered 2xx. What is in
// the queue, a bbolt database, survives kill -9 and power failures. The event of a change is in the queue before the
// client gets its answer; concurrent changes share a write. Pulls and wants do not wait for the disk: those that the
// writer has not reached yet are lost when the process is killed. So is the event of a change that was not answered. An
// event may be delivered twice; receivers can tell by its ID.
//
// A queue has a maximum size. When it is full, the oldest events are dropped and counted. Changes (push, mount, delete,
// import) have a separate queue that is delivered first, so that pulls and wants, which anybody can cause, neither
// displace nor delay them. In memory and on disk, each client has a share of a queue, see [mirror.Shares].
//
// The actions push, pull, delete and mount are those of distribution, for requests of clients; delete also covers
// commands. Deletions by the garbage collector and content from an upstream are not events. This mirror adds two
// actions: want, when a client requests something that is not available, and import, for each image that an import
// adds, because receivers of push events need to know about those as well. A pull is a response that contains the last
// byte of a manifest or blob. A blob that is fetched in several ranges is therefore one pull. Answers to HEAD and 304
// answers are not pulls.
//
// While the mirror is offline, events wait in the queue, except for endpoints on the local network. Only endpoints are
// dialled; redirects are not followed. Endpoints beyond the local network use the proxy of the environment.
package events

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// MediaType is the content type of envelopes, the one of registry:2.
const MediaType = "application/vnd.docker.distribution.events.v1+json"

// Action is what happened.
type Action string

// The actions.
const (
	Push   Action = "push"
	Pull   Action = "pull"
	Delete Action = "delete"
	Mount  Action = "mount"
	Want   Action = "want"
	Import Action = "import"
)

// Actions are all actions.
var Actions = []Action{Push, Pull, Delete, Mount, Want, Import}

// Event is one event. Its JSON names are those of distribution.
type Event struct {
	ID        string    `json:"id"` // UUID
	Timestamp time.Time `json:"timestamp"`
	Action    Action    `json:"action"`
	Target    Target    `json:"target"`
	Reason    string    `json:"reason,omitempty"` // of a want: why the content is not available
	Request   Request   `json:"request"`
	Actor     Actor     `json:"actor"`
	Source    Source    `json:"source"`
}

// Target is the object of an event. Which fields are set depends on what is known.
type Target struct {
	MediaType      string        `json:"mediaType,omitempty"` // application/octet-stream for blobs
	Digest         digest.Digest `json:"digest,omitempty"`
	Size           int64         `json:"size,omitempty"`           // in bytes
	Length         int64         `json:"length,omitempty"`         // the same value, for older receivers
	Repository     string        `json:"repository,omitempty"`     // as served by this mirror, see [mirror.Names.Served]
	FromRepository string        `json:"fromRepository,omitempty"` // of a mount
	URL            string        `json:"url,omitempty"`
	Tag            string        `json:"tag,omitempty"`
}

// Request is the request that caused the event. It is empty if there was none.
type Request struct {
	ID        string `json:"id"`             // as in the logs
	Addr      string `json:"addr,omitempty"` // of the client
	Host      string `json:"host,omitempty"` // the Host header
	Method    string `json:"method"`
	UserAgent string `json:"useragent"`
}

// Actor is the user who caused the event.
type Actor struct {
	Name string `json:"name,omitempty"` // "" for anonymous clients; the account on this machine for commands
}

// Source is the mirror that sends the event.
type Source struct {
	Addr       string `json:"addr,omitempty"`
	InstanceID string `json:"instanceID,omitempty"` // random, new at each start
}

const blobType = "application/octet-stream"
