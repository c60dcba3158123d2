package cache

import (
	"cmp"

	"github.com/segue-serving/segue/loader/store"
)

// Keep states the full set of references that may be asked for again at any
// time: their artifacts are not removed to make room, not by other processes
// either. What was kept before and is left out is let go. References whose
// artifacts are not here yet are kept from when they are.
func (c *Cache) Keep(refs []store.Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.keeping
	c.keeping = make(map[store.Ref]*entry, len(refs))
	for _, ref := range refs {
		c.keeping[ref] = was[ref]
		delete(was, ref)
	}
	for _, e := range was {
		if e != nil {
			e.lock.close()
		}
	}
	c.keepFound()
}

// keepFound holds what is to be kept and is there. The caller holds the mutex.
func (c *Cache) keepFound() {
	for ref, e := range c.keeping {
		digest := cmp.Or(ref.Digest, c.lookUp(lastOf(ref)))
		if e != nil && e.digest == digest || digest == "" {
			continue
		}
		if found := c.grasp(digest); found != nil {
			if e != nil {
				e.lock.close()
			}
			c.keeping[ref] = found
		}
	}
}
