/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hotpatch.h - what a source patch can tell the hotpatch compiler
 *
 * A hotpatch replaces functions. Where that is not enough, a patch includes
 * this file, which is on the include path of every hotpatch build, and says so:
 *
 *   HOTPATCH_PRE_PATCH(fn)    int fn(struct klp_object *): called before the
 *                             functions of this object are replaced; an error
 *                             stops the hotpatch from being applied
 *   HOTPATCH_POST_PATCH(fn)   void fn(struct klp_object *): called when every
 *                             task uses the new functions
 *   HOTPATCH_PRE_UNPATCH(fn)  void fn(struct klp_object *): called before the
 *                             old functions come back
 *   HOTPATCH_POST_UNPATCH(fn) void fn(struct klp_object *): called when every
 *                             task uses the old functions again
 *
 *   HOTPATCH_SKIP(name)       the change to this function, or to the initial
 *                             content of this variable, does not matter to a
 *                             kernel that is running: leave it out
 *   HOTPATCH_COPY(variable)   the new functions use a copy of their own of this
 *                             constant, with the new content
 *
 *   HOTPATCH_SHADOW(name, id, type)
 *                             state for existing objects that their structure
 *                             has no room for; makes name_get(obj),
 *                             name_get_or_alloc(obj, gfp) and name_free(obj),
 *                             which return or take a pointer to a zeroed type.
 *                             The id must be the same in every hotpatch that
 *                             shares the state, and no other may use it.
 *
 * "This object" is vmlinux or the module that the file is part of. Each of the
 * callbacks may be given once an object.
 */
#ifndef HOTPATCH_H
#define HOTPATCH_H

#include <linux/livepatch.h>

#define __HOTPATCH_CALL(kind, type, fn)					\
	static type (*const __hotpatch_##kind)(struct klp_object *)	\
	__used __section(".hotpatch." #kind) = fn

#define HOTPATCH_PRE_PATCH(fn)		__HOTPATCH_CALL(pre_patch, int, fn)
#define HOTPATCH_POST_PATCH(fn)		__HOTPATCH_CALL(post_patch, void, fn)
#define HOTPATCH_PRE_UNPATCH(fn)	__HOTPATCH_CALL(pre_unpatch, void, fn)
#define HOTPATCH_POST_UNPATCH(fn)	__HOTPATCH_CALL(post_unpatch, void, fn)

#define __HOTPATCH_NAME(kind, name)					\
	static const void *const __hotpatch_##kind##_##name		\
	__used __section(".hotpatch." #kind) = &name

#define HOTPATCH_SKIP(name)		__HOTPATCH_NAME(skip, name)
#define HOTPATCH_COPY(variable)		__HOTPATCH_NAME(copy, variable)

#define HOTPATCH_SHADOW(name, id, type)					\
static inline __maybe_unused type *name##_get(void *obj)		\
{									\
	return klp_shadow_get(obj, id);					\
}									\
static inline __maybe_unused type *name##_get_or_alloc(void *obj, gfp_t gfp) \
{									\
	return klp_shadow_get_or_alloc(obj, id, sizeof(type), gfp, NULL, NULL); \
}									\
static inline __maybe_unused void name##_free(void *obj)		\
{									\
	klp_shadow_free(obj, id, NULL);					\
}									\
static_assert((id) != 0)

#endif
