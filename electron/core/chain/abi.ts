import type { Abi, AbiParametersToPrimitiveTypes, ExtractAbiFunction, ExtractAbiFunctionNames } from 'abitype';
import { Interface, type InterfaceAbi } from 'ethers';
import { hearthTokenAbi } from '#shared/contracts/generated/hearth-token.ts';
import { identityRegistryAbi } from '#shared/contracts/generated/identity-registry.ts';
import { paymentChannelsAbi } from '#shared/contracts/generated/payment-channels.ts';
import { reputationRegistryAbi } from '#shared/contracts/generated/reputation-registry.ts';
import type { Address, Hex } from '#shared/units.ts';

declare module 'abitype' {
  // ethers v6 decodes every integer to a bigint, whatever its width, and all bytes to hexadecimal.
  interface Register {
    intType: bigint;
    bigIntType: bigint;
    addressType: Address;
    bytesType: { inputs: Hex; outputs: Hex };
  }
}

/** Arguments of a call, in order. */
export type Inputs<A extends Abi, Name extends ExtractAbiFunctionNames<A>> = AbiParametersToPrimitiveTypes<
  ExtractAbiFunction<A, Name>['inputs'],
  'inputs'
>;
type Outputs<A extends Abi, Name extends ExtractAbiFunctionNames<A>> = AbiParametersToPrimitiveTypes<
  ExtractAbiFunction<A, Name>['outputs'],
  'outputs'
>;
/** What a call answers: nothing, the only value, or all values in order. */
export type Answer<A extends Abi, Name extends ExtractAbiFunctionNames<A>> =
  Outputs<A, Name> extends readonly []
    ? undefined
    : Outputs<A, Name> extends readonly [infer Only]
      ? Only
      : Outputs<A, Name>;

/** Coding of one contract's calls with the types of its ABI. Functions that are overloaded in the ABI cannot be called through it. */
export class ContractAbi<const A extends Abi> {
  readonly interface: Interface;

  constructor(abi: A) {
    this.interface = new Interface(abi as InterfaceAbi);
  }

  encode<Name extends ExtractAbiFunctionNames<A>>(name: Name, args: Inputs<A, Name>): Hex {
    return this.interface.encodeFunctionData(name, args as readonly unknown[]) as Hex;
  }

  /** Throws where the data is not what the function returns. */
  decode<Name extends ExtractAbiFunctionNames<A>>(name: Name, data: string): Answer<A, Name> {
    const values = this.interface.decodeFunctionResult(name, data);
    return (values.length > 1 ? values : values[0]) as Answer<A, Name>;
  }
}

export const tokenContract = new ContractAbi(hearthTokenAbi);
export const identityContract = new ContractAbi(identityRegistryAbi);
export const channelsContract = new ContractAbi(paymentChannelsAbi);
export const reputationContract = new ContractAbi(reputationRegistryAbi);

/** topic0 of an event, for filters. */
export function eventTopic(contract: { readonly interface: Interface }, name: string): Hex {
  const event = contract.interface.getEvent(name);
  if (!event) throw new Error(`no event ${name} in the ABI`);
  return event.topicHash as Hex;
}
