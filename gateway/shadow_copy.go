package gateway

import (
	"math/rand/v2"
	"slices"

	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/runtime"
)

// shadowRoute is a version that gets copies of requests, as the data path sees
// it.
type shadowRoute struct {
	to *versionRoute
	// share is the part of the requests that is copied.
	share float64
	// like reports that the version takes the same inputs as the one that
	// answers.
	like bool
	// recorder counts copies for the shadow guard, in a step, with callers
	// hashed with seed; nil where there is no such guard. tolerance is the
	// guard's, judge is told of what disagrees.
	recorder  *rollout.Recorder
	step      int
	seed      uint64
	tolerance float64
	judge     func()
}

// shadowCopy is one request to be run once more, with what was answered. It
// owns its memory.
type shadowCopy struct {
	to *versionRoute
	// route is nil for a copy that only probes a version which its breaker lets
	// no request through to.
	route           *shadowRoute
	unit            uint64
	inputs, outputs []runtime.Tensor
	blocks          []*runtime.Memory
	size            int64
}

// copies hands copies of a request that v answered to the versions that are to
// have one. What that costs is to copy the tensors of those requests; it never
// waits.
func (c *call) copies(v *versionRoute, inputs, outputs []runtime.Tensor) {
	s := c.server.shadows
	if c.probe != nil && sameInputs(c.probe, v) {
		s.offer(s.copyOf(c.probe, nil, inputs, nil))
	}
	if c.route.version != nil {
		return
	}
	for _, route := range c.model.shadows {
		switch {
		case route.to.version == v.version || route.share < 1 && rand.Float64() >= route.share:
			continue
		case !route.like:
			route.to.metrics.shadow.count(shadowUnlike)
			continue
		}
		copied := s.copyOf(route.to, route, inputs, outputs)
		if copied != nil && c.model.stickyHeader != "" {
			if key := c.wire.field(c.model.stickyHeader); len(key) > 0 {
				copied.unit = rollout.UnitOf(route.seed, key)
			}
		}
		s.offer(copied)
	}
}

// sameInputs reports that two versions take the same inputs.
func sameInputs(a, b *versionRoute) bool {
	if a.runner == nil || b.runner == nil {
		return false
	}
	return slices.EqualFunc(a.runner.Signature().Inputs, b.runner.Signature().Inputs, func(x, y runtime.TensorSpec) bool {
		return x.Name == y.Name && x.Type == y.Type && slices.Equal(x.Shape, y.Shape)
	})
}

// copyOf copies a request's tensors. It is nil where there is no room for them.
func (s *shadows) copyOf(to *versionRoute, route *shadowRoute, inputs, outputs []runtime.Tensor) *shadowCopy {
	k := &shadowCopy{to: to, route: route, size: runtime.TensorBytes(inputs) + runtime.TensorBytes(outputs)}
	if s.queued.Add(k.size) > maxShadowBytes || !k.take(s.pool, &k.inputs, inputs) || !k.take(s.pool, &k.outputs, outputs) {
		s.drop(k)
		return nil
	}
	return k
}

// take copies tensors into memory of its own, and reports that there was some.
func (k *shadowCopy) take(pool *runtime.Pool, to *[]runtime.Tensor, from []runtime.Tensor) bool {
	copies, blocks, err := pool.Copy(from)
	*to, k.blocks = copies, append(k.blocks, blocks...)
	return err == nil
}

// release gives the memory back.
func (k *shadowCopy) release() {
	for _, block := range k.blocks {
		block.Release()
	}
	k.blocks, k.inputs, k.outputs = nil, nil, nil
}
