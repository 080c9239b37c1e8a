// Package events tells other systems what happens in a mirror, by webhooks in the envelope of distribution's
// notifications: https://distribution.github.io/distribution/about/notifications/
//
// What happens passes through a bounded channel to one writer, so that no request waits for a disk; from there into a
// queue on the disk for each endpoint, oldest out first; and from there, in batches, to the endpoint. An event leaves the
// queue when its endpoint has answered 2xx, so it survives a restart and kill -9, and may come twice: its id tells. The
// last moments before a power failure may be lost. A queue is bounded: when it is full the oldest events go, and are
// counted. Changes (push, mount, delete, import) have a queue of their own, which is delivered first: no number of pulls and
// wants, which anybody can cause, has them forgotten or waiting. Of each queue, in memory and on the disk, a client has a
// share: no more than it leaves for others, see [mirror.Shares].
//
// The actions push, pull, delete and mount are distribution's. They are told of clients, delete of commands as well: what
// the collector removes, and what comes from an upstream, is no event. Two are of this mirror: want, when something that could
// not be given became a want; and import, for each image that an import brought in, since that is what whoever listens
// for pushes has to do something about, too. A pull is an answer that carried the last byte of a manifest or blob: however
// many ranges a client fetches it in, or begins again in, it is one; an answer that it has changed nothing, or to HEAD, is
// none.
//
// Nothing is dialled offline: an endpoint that is not declared to be on this side of the gap waits until the mirror is
// connected. Only endpoints are dialled, those beyond the gap by the proxy that the environment names for them if it does,
// and no redirect is followed.
package events

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// MediaType is what envelopes are sent as: that of registry:2, which receivers know.
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

// Actions are all there are.
var Actions = []Action{Push, Pull, Delete, Mount, Want, Import}

// Event is something that happened; the names in JSON are distribution's.
type Event struct {
	ID        string    `json:"id"` // a UUID
	Timestamp time.Time `json:"timestamp"`
	Action    Action    `json:"action"`
	Target    Target    `json:"target"`
	Reason    string    `json:"reason,omitempty"` // of a want: why it could not be given
	Request   Request   `json:"request"`
	Actor     Actor     `json:"actor"`
	Source    Source    `json:"source"`
}

// Target is what it happened to. Which fields are set depends on what is known.
type Target struct {
	MediaType      string        `json:"mediaType,omitempty"` // application/octet-stream for a blob
	Digest         digest.Digest `json:"digest,omitempty"`
	Size           int64         `json:"size,omitempty"`           // in bytes
	Length         int64         `json:"length,omitempty"`         // the same, as older receivers call it
	Repository     string        `json:"repository,omitempty"`     // as this mirror serves it, see [mirror.Names.Served]
	FromRepository string        `json:"fromRepository,omitempty"` // of a mount
	URL            string        `json:"url,omitempty"`
	Tag            string        `json:"tag,omitempty"`
}

// Request is what caused it; it is empty where none did.
type Request struct {
	ID        string `json:"id"`             // as in the logs
	Addr      string `json:"addr,omitempty"` // of the client
	Host      string `json:"host,omitempty"` // that the client meant
	Method    string `json:"method"`
	UserAgent string `json:"useragent"`
}

// Actor is who caused it.
type Actor struct {
	Name string `json:"name,omitempty"` // "" for anonymous clients; the account on this machine for commands
}

// Source is the mirror where it happened.
type Source struct {
	Addr       string `json:"addr,omitempty"`
	InstanceID string `json:"instanceID,omitempty"` // another one after each start
}

const blobType = "application/octet-stream"
