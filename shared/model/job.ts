/** How an answer was found right: two peers agree, the requester computed it, or chance let a proven peer's answer pass. */
export type JobCheck = 'agreed' | 'checked' | 'trusted';
