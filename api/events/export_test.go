package events

// Hold has the disk of a queue be stuck, until release is called.
func Hold(e *Events, name string) (release func()) {
	q := e.sinksByName[name].queues[others]
	q.mu.Lock()
	return q.mu.Unlock
}

// InMemory is how many events there can be that are not written yet.
const InMemory = channelSize + 2*writeBatchSize
