/* Event injection (APM volume 2, 15.20), windows for what has to wait (15.21.4), and what an exit cut short (15.7.2). Pure. */
#pragma once

#include "svm/vcpu.h"

bool svm_events_nmi_blocked(struct vcpu *vcpu);
void svm_events_set_nmi_blocked(struct vcpu *vcpu, bool blocked);
bool svm_events_can_inject(struct vcpu *vcpu, enum event_type type);
void svm_events_inject(struct vcpu *vcpu, const struct event *event);
bool svm_events_inject_interrupt(struct vcpu *vcpu, uint8_t vector);
void svm_events_window(struct vcpu *vcpu, enum event_type type, bool open);
void svm_events_clear_shadow(struct vcpu *vcpu);
void svm_events_set_shadow(struct vcpu *vcpu);
/* After an exit: hands to core what the exit interrupted the delivery of. False: that is an instruction's, which runs again. */
bool svm_events_collect(struct vcpu *vcpu, struct svm_vcpu *s);

/* The EVENTINJ word for an event. */
uint64_t svm_events_encode(const struct event *event);
